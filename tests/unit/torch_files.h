// Makes files as torch.save does, and such as it never would: zip archives of stored entries, and pickles. For the
// tests and the fuzzer of src/loader/torch_file.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace wde::test {

inline std::string little_endian(uint64_t value, size_t bytes) {
  std::string result;
  for (size_t i = 0; i < bytes; ++i) result += static_cast<char>(i < 8 ? value >> (8 * i) : 0);
  return result;
}

struct ZipEntry {
  std::string name;
  std::string content;
  uint64_t method = 0;
  uint64_t flags = 0x0800;
  bool wide = false;  // its numbers in a zip64 field
};

struct ZipParts {
  std::string archive;
  size_t directory = 0;  // where it begins
  size_t end = 0;        // the first end record
};

inline ZipParts make_zip(const std::vector<ZipEntry>& entries, bool zip64 = false) {
  const auto n = little_endian;
  std::string archive, directory;
  for (const ZipEntry& entry : entries) {
    const uint64_t bytes = entry.content.size(), header = archive.size();
    const std::string common = n(entry.flags, 2) + n(entry.method, 2) + n(0, 8);  // no time, no checksum
    const uint64_t full = 0xffffffff;
    archive += "PK\x03\x04" + n(20, 2) + common + n(bytes, 4) + n(bytes, 4) + n(entry.name.size(), 2) + n(0, 2) +
               entry.name + entry.content;
    const std::string extra =
        entry.wide ? n(0x4246, 2) + n(1, 2) + "Z" + n(1, 2) + n(24, 2) + n(bytes, 8) + n(bytes, 8) + n(header, 8) : "";
    directory += "PK\x01\x02" + n(0, 2) + n(20, 2) + common + n(entry.wide ? full : bytes, 4) +
                 n(entry.wide ? full : bytes, 4) + n(entry.name.size(), 2) + n(extra.size(), 2) + n(0, 10) +
                 n(entry.wide ? full : header, 4) + entry.name + extra;
  }
  ZipParts parts{archive + directory, archive.size(), archive.size() + directory.size()};
  const std::string size = n(directory.size(), 8), place = n(parts.directory, 8), count = n(entries.size(), 8);
  if (zip64) {
    parts.archive += "PK\x06\x06" + n(44, 8) + n(45, 2) + n(45, 2) + n(0, 8) + count + count + size + place;
    parts.archive += "PK\x06\x07" + n(0, 4) + n(parts.end, 8) + n(1, 4);
  }
  parts.archive += "PK\x05\x06" + n(0, 4) + count.substr(0, 2) + count.substr(0, 2) + size.substr(0, 4) +
                   place.substr(0, 4) + n(0, 2);
  return parts;
}

// ---- pieces of a pickle of protocol 4

inline std::string pickle_text(std::string_view text) {
  return "X" + little_endian(text.size(), 4) + std::string(text);
}
inline std::string pickle_int(int64_t value) { return "\x8a\x08" + little_endian(static_cast<uint64_t>(value), 8); }
inline std::string pickle_name(std::string_view module, std::string_view name) {
  return "c" + std::string(module) + "\n" + std::string(name) + "\n";
}
inline std::string pickle_tuple(const std::vector<int64_t>& values) {
  std::string result = "(";
  for (const int64_t value : values) result += pickle_int(value);
  return result + "t";
}
inline std::string pickle_storage(std::string_view type, std::string_view key, int64_t elements) {
  return "(" + pickle_text("storage") + pickle_name("torch", type) + pickle_text(key) + pickle_text("cpu") +
         pickle_int(elements) + "tQ";
}
// A tensor of a storage "0" of 16 floats.
inline std::string pickle_tensor(int64_t first, const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides,
                                 const std::string& storage = pickle_storage("FloatStorage", "0", 16)) {
  return pickle_name("torch._utils", "_rebuild_tensor_v2") + "(" + storage + pickle_int(first) + pickle_tuple(sizes) +
         pickle_tuple(strides) + "\x89" + pickle_name("collections", "OrderedDict") + ")RtR";
}
inline std::string pickle_dict(const std::vector<std::pair<std::string, std::string>>& items) {
  std::string result = "\x80\x04}(";
  for (const auto& [key, value] : items) result += pickle_text(key) + value;
  return result + "u.";
}

// A whole file: the pickle and storages "0", "1", ... of these bytes.
inline ZipParts torch_file(const std::string& pickle, const std::vector<std::string>& storages = {std::string(64, 0)},
                           bool zip64 = false) {
  std::vector<ZipEntry> entries = {{"archive/data.pkl", pickle}, {"archive/byteorder", "little"}};
  for (size_t i = 0; i < storages.size(); ++i) entries.push_back({"archive/data/" + std::to_string(i), storages[i]});
  return make_zip(entries, zip64);
}

}  // namespace wde::test
