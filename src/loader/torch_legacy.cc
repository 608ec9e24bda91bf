#include "loader/torch_legacy.h"

#include <cstdint>

#include <fmt/format.h>

#include "loader/json_file.h"
#include "loader/little_endian.h"
#include "loader/pickle.h"
#include "wde/result.h"

namespace wde {
namespace {

using Kind = PickleValue::Kind;
using Contents = std::map<std::string, std::string_view, std::less<>>;

// A number of torch's own, pickled: what such a file begins with.
constexpr std::string_view kMagic = "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

class LegacyReader {
 public:
  LegacyReader(std::string_view bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  Contents read() {
    next();  // the magic number
    const Pickle version = next();
    constexpr int64_t kVersion = 1001;
    if (root(version).kind != Kind::kInt || root(version).number != kVersion)
      fail(fmt::format("expected version {} of the format, found another", kVersion));
    check_system(next());
    const size_t begin = at_;
    const Pickle object = next();
    Contents contents;
    contents["archive/data.pkl"] = bytes_.substr(begin, at_ - begin);

    std::map<std::string_view, size_t> element_bytes;
    for (const PickleValue& value : object.values) {
      if (value.kind == Kind::kStorage) element_bytes.emplace(value.text, storage_type(value).bytes);
    }
    const Pickle keys = next();
    if (root(keys).kind != Kind::kList)
      fail(fmt::format("expected a list of storages, found {}", kind_name(root(keys))));
    for (const PickleIndex index : root(keys).items) {
      const PickleValue& key = keys.values[index];
      const auto known = element_bytes.find(key.kind == Kind::kString ? key.text : "");
      if (known == element_bytes.end()) fail("a storage that no tensor has");
      const auto [at, added] = contents.try_emplace("archive/data/" + std::string(key.text), storage(known->second));
      if (!added) fail(fmt::format("the storage {} is there twice", quote(key.text)));
    }
    if (at_ != bytes_.size()) fail(fmt::format("{} bytes behind the last storage", bytes_.size() - at_));
    return contents;
  }

 private:
  [[noreturn]] void fail(const std::string& problem) const {
    throw LoadError(fmt::format("{}: at byte {}: {}", file_, at_, problem));
  }
  static const PickleValue& root(const Pickle& pickle) { return pickle.values[pickle.root]; }

  Pickle next() {
    size_t end = 0;
    Pickle pickle = read_pickle(bytes_.substr(at_), file_, &end);
    at_ += end;
    return pickle;
  }

  void check_system(const Pickle& pickle) const {
    const PickleValue& dict = root(pickle);
    if (dict.kind != Kind::kDict) fail(fmt::format("expected the writer's properties, found {}", kind_name(dict)));
    for (size_t i = 0; i + 1 < dict.items.size(); i += 2) {
      const PickleValue& value = pickle.values[dict.items[i + 1]];
      if (pickle.values[dict.items[i]].text == "little_endian" && (value.kind != Kind::kBool || value.number == 0))
        fail("expected numbers in the byte order \"little\", found another");
    }
  }

  // Its number of elements, then these.
  std::string_view storage(size_t element_bytes) {
    constexpr size_t kCount = 8;
    if (bytes_.size() - at_ < kCount) fail("expected the size of a storage; the file is cut off");
    const uint64_t elements = read_little_endian(bytes_, at_, kCount);
    at_ += kCount;
    if (elements > (bytes_.size() - at_) / element_bytes) {
      fail(fmt::format("expected a storage of {} elements, found {} bytes; the file is cut off", elements,
                       bytes_.size() - at_));
    }
    const std::string_view found = bytes_.substr(at_, elements * element_bytes);
    at_ += found.size();
    return found;
  }

  std::string_view bytes_;
  const std::string& file_;
  size_t at_ = 0;
};

}  // namespace

bool is_legacy_torch_file(std::string_view bytes) { return bytes.size() > 2 && bytes.substr(2).starts_with(kMagic); }

Contents read_legacy_directory(std::string_view bytes, const std::string& file) {
  return LegacyReader(bytes, file).read();
}

}  // namespace wde
