// The header of a safetensors file, and the numbers in it.
#include <cmath>
#include <cstring>
#include <limits>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "mutation/mutation.h"

namespace wde::mutation {
namespace {

using nlohmann::json;

struct File {
  json header;
  std::string data;
};

bool parse(const std::string& content, File& out) {
  uint64_t size = 0;
  if (content.size() < sizeof(size)) return false;
  std::memcpy(&size, content.data(), sizeof(size));
  if (size > content.size() - sizeof(size)) return false;
  out.header = json::parse(content.substr(sizeof(size), size), nullptr, false);
  out.data = content.substr(sizeof(size) + size);
  return out.header.is_object();
}

std::string write(const File& file) {
  const std::string header = file.header.dump();
  const uint64_t size = header.size();
  std::string out(sizeof(size), '\0');
  std::memcpy(out.data(), &size, sizeof(size));
  return out + header + file.data;
}

std::vector<std::string> names_of(const json& header) {
  std::vector<std::string> out;
  for (const auto& [name, entry] : header.items())
    if (name != "__metadata__") out.push_back(name);
  return out;
}

// All numbers of a tensor in F32 or F16 become the same odd one, or a single one does.
std::string poison(File& file, const std::string& name, Random& random) {
  const json& entry = file.header[name];
  const auto begin = entry["data_offsets"][0].get<size_t>(), end = entry["data_offsets"][1].get<size_t>();
  const bool halves = entry["dtype"] == "F16";
  const size_t width = halves ? 2 : 4;
  if ((!halves && entry["dtype"] != "F32") || end > file.data.size() || end - begin < width) return "";
  const std::vector<float> odd = {std::numeric_limits<float>::quiet_NaN(),
                                  std::numeric_limits<float>::infinity(),
                                  -std::numeric_limits<float>::infinity(),
                                  3e38f,
                                  -3e38f,
                                  1e-42f,
                                  0.0f};
  const std::vector<uint16_t> odd_halves = {0x7E00, 0x7C00, 0xFC00, 0x7BFF, 0xFBFF, 0x0001, 0x0000};
  const size_t which = random.below(odd.size()), count = (end - begin) / width;
  const bool all = random.one_of(2);
  const size_t first = all ? 0 : random.below(count);
  for (size_t i = first; i < (all ? count : first + 1); ++i) {
    const void* from = halves ? static_cast<const void*>(&odd_halves[which]) : &odd[which];
    std::memcpy(file.data.data() + begin + i * width, from, width);
  }
  return fmt::format("{}: {} = {}", name, all ? "all numbers" : fmt::format("number {}", first), odd[which]);
}

// The same numbers in another shape, or fewer of them.
std::string reshape(json& entry, const std::string& name, Random& random) {
  const std::string before = entry["shape"].dump();
  std::vector<uint64_t> shape = entry["shape"].get<std::vector<uint64_t>>();
  switch (random.below(5)) {
    case 0:
      std::reverse(shape.begin(), shape.end());
      break;
    case 1:
      shape.insert(shape.begin() + static_cast<ptrdiff_t>(random.below(shape.size() + 1)), 1);
      break;
    case 2: {
      uint64_t all = 1;
      for (const uint64_t d : shape) all *= d;
      shape = {all};
      break;
    }
    case 3:
      shape.push_back(random.pick(std::vector<uint64_t>{0, 2, uint64_t{1} << 32, UINT64_MAX}));
      break;
    default:
      if (shape.empty()) return "";
      shape[random.below(shape.size())] = random.pick(std::vector<uint64_t>{0, 1, uint64_t{1} << 32, UINT64_MAX});
      break;
  }
  entry["shape"] = shape;
  const std::string after = entry["shape"].dump();
  return before == after ? "" : fmt::format("{}: shape {} -> {}", name, before, after);
}

}  // namespace

std::string mutate_tensors(std::string& content, Random& random, bool& refused_or_equal) {
  File file;
  if (!parse(content, file)) return "";
  const std::vector<std::string> names = names_of(file.header);
  if (names.empty()) return "";
  const std::string name = random.pick(names), other = random.pick(names);
  json& entry = file.header[name];
  std::string what;
  switch (random.below(8)) {
    case 0: {  // its bytes stay behind, as another name's: a hole is refused for itself
      file.header["unknown." + name] = entry;
      file.header.erase(name);
      // model2vec's table may come with these or without.
      refused_or_equal = name != "weights" && name != "mapping";
      what = name + ": removed";
      break;
    }
    case 1:
      if (name == other) return "";
      std::swap(file.header[name], file.header[other]);
      what = fmt::format("{} and {} swapped", name, other);
      refused_or_equal = file.header[name]["shape"] != file.header[other]["shape"];
      break;
    case 2:
      what = reshape(entry, name, random);
      refused_or_equal = true;
      break;
    case 3: {
      const std::vector<std::string> types = {"F32", "F16", "BF16", "I8", "U8", "I64", "F64", "BOOL", "F8_E4M3", "x"};
      what = fmt::format("{}: dtype {} -> ", name, entry["dtype"].dump());
      entry["dtype"] = random.pick(types);
      what += entry["dtype"].dump();
      break;
    }
    case 4: {
      json& offset = entry["data_offsets"][random.below(2)];
      const std::string before = offset.dump();
      offset =
          random.pick(std::vector<json>{0, 1, -1, offset.get<uint64_t>() + 4, UINT64_MAX, INT64_MAX, nullptr, "0"});
      what = fmt::format("{}: offset {} -> {}", name, before, offset.dump());
      break;
    }
    default:
      what = poison(file, name, random);
      break;
  }
  if (what.empty()) return "";
  content = write(file);
  return what;
}

}  // namespace wde::mutation
