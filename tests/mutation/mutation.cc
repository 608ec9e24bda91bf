#include "mutation/mutation.h"

#include <algorithm>
#include <fstream>
#include <functional>
#include <iterator>

#include <fmt/format.h>

namespace wde::mutation {

namespace fs = std::filesystem;

Random::Random(uint64_t seed, const std::string& name, uint64_t number)
    : state_(seed * 0x9E3779B97F4A7C15u + number * 0xD1B54A32D192ED03u) {
  for (const char c : name) state_ = (state_ ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
}

uint64_t Random::next() {
  uint64_t z = state_ += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

std::string read_file(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const fs::path& file, const std::string& content) {
  fs::remove(file);
  std::ofstream(file, std::ios::binary) << content;
}

std::string mutate_bytes(std::string& content, Random& random) {
  if (content.empty()) return "";
  const size_t size = content.size();
  switch (random.below(4)) {
    case 0: {
      content.resize(random.below(size));
      return fmt::format("cut from {} to {} bytes", size, content.size());
    }
    case 1: {
      content.append(1 + random.below(64), static_cast<char>(random.next()));
      return fmt::format("{} bytes behind its end", content.size() - size);
    }
    default: {
      // Headers are where most can be broken.
      const size_t reach = random.one_of(2) ? std::min<size_t>(size, 512) : size;
      const size_t flips = 1 + random.below(4);
      std::string what = "flipped";
      for (size_t i = 0; i < flips; ++i) {
        const size_t at = random.below(reach), bit = random.below(8);
        content[at] = static_cast<char>(static_cast<unsigned char>(content[at]) ^ 1u << bit);
        what += fmt::format(" {}.{}", at, bit);
      }
      return what;
    }
  }
}

namespace {

bool is_answer(const fs::path& file) {
  const std::string name = file.filename();
  return name == "golden.json" || name == "golden.safetensors" || name == "README.md";
}

std::vector<fs::path> link_files(const fs::path& from, const fs::path& to) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(from)) {
    if (!entry.is_regular_file() || is_answer(entry.path())) continue;
    const fs::path file = fs::relative(entry.path(), from);
    fs::create_directories((to / file).parent_path());
    fs::create_symlink(entry.path(), to / file);
    files.push_back(file);
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

Mutant make_mutant(const fs::path& checkpoint, const fs::path& to, Random& random) {
  const std::vector<fs::path> files = link_files(checkpoint, to);
  std::vector<fs::path> configs, tensors;
  for (const fs::path& file : files) {
    if (file.extension() == ".json" && file.filename() != "tokenizer.json" && file.filename() != "vocab.json")
      configs.push_back(file);
    if (file.extension() == ".safetensors") tensors.push_back(file);
  }
  Mutant mutant;
  const auto change = [&](const fs::path& file, const std::function<std::string(std::string&)>& how) {
    std::string content = read_file(to / file);
    const std::string what = how(content);
    if (what.empty()) return;
    write_file(to / file, content);
    mutant.what = file.string() + ": " + what;
  };
  const size_t kind = random.below(20);
  if (kind < 9 && !configs.empty()) {
    // config.json has most of what can go wrong.
    const bool main = random.one_of(2) && std::find(configs.begin(), configs.end(), "config.json") != configs.end();
    change(main ? fs::path("config.json") : random.pick(configs),
           [&](std::string& c) { return mutate_json(c, random); });
  } else if (kind < 14 && !tensors.empty()) {
    change(random.pick(tensors), [&](std::string& c) { return mutate_tensors(c, random, mutant.refused_or_equal); });
  } else if (kind < 17 && fs::exists(to / "tokenizer.json")) {
    change("tokenizer.json", [&](std::string& c) { return mutate_tokenizer(c, random); });
  }
  if (!mutant.what.empty()) return mutant;
  mutant.refused_or_equal = false;
  change(random.pick(files), [&](std::string& c) { return mutate_bytes(c, random); });
  return mutant;
}

}  // namespace wde::mutation
