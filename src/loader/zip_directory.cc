#include "loader/zip_directory.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "loader/json_file.h"
#include "loader/little_endian.h"
#include "wde/result.h"

namespace wde {
namespace {

// Each record begins with a signature; the sizes are those without the fields of variable length.
constexpr uint64_t kLocalSignature = 0x04034b50, kLocalBytes = 30;
constexpr uint64_t kCentralSignature = 0x02014b50, kCentralBytes = 46;
constexpr uint64_t kEndSignature = 0x06054b50, kEndBytes = 22, kMaxComment = 0xffff;
constexpr uint64_t kEnd64Signature = 0x06064b50, kEnd64Bytes = 56, kEnd64Unsized = 12;
constexpr uint64_t kLocator64Signature = 0x07064b50, kLocator64Bytes = 20;
constexpr uint64_t kExtra64 = 0x0001;
constexpr uint64_t kFull16 = 0xffff, kFull32 = 0xffffffff;                        // "see the zip64 record"
constexpr uint64_t kEncrypted = 0x0041, kSizesFollow = 0x0008, kMasked = 0x2000;  // flags

struct Entry {
  std::string_view name;
  uint64_t header = 0;  // where its local header begins
  uint64_t bytes = 0;
};

class ZipReader {
 public:
  ZipReader(std::string_view archive, const std::string& file) : archive_(archive), file_(file) {}

  std::map<std::string, std::string_view, std::less<>> read() {
    find_directory();
    std::vector<Entry> entries = read_central();
    std::map<std::string, std::string_view, std::less<>> contents;
    std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.header < b.header; });
    for (size_t i = 0; i < entries.size(); ++i) {
      const uint64_t end = i + 1 < entries.size() ? entries[i + 1].header : directory_;
      const uint64_t data = read_local(entries[i], end);
      const auto [at, added] = contents.emplace(entries[i].name, archive_.substr(data, entries[i].bytes));
      if (!added) fail(fmt::format("the name {} is given twice", quote(entries[i].name)));
    }
    return contents;
  }

 private:
  uint64_t number(uint64_t at, size_t bytes) const { return read_little_endian(archive_, at, bytes); }
  [[noreturn]] void fail(const std::string& problem) const {
    throw LoadError(fmt::format("{}: zip archive: {}", file_, problem));
  }
  [[noreturn]] void fail(const Entry& entry, const std::string& problem) const {
    fail(fmt::format("entry {}: {}", quote(entry.name), problem));
  }

  // The end record, behind which only its comment stands.
  uint64_t find_end() const {
    const uint64_t bytes = archive_.size();
    for (uint64_t comment = 0; comment <= kMaxComment && comment + kEndBytes <= bytes; ++comment) {
      const uint64_t at = bytes - kEndBytes - comment;
      if (number(at, 4) == kEndSignature && number(at + 20, 2) == comment) return at;
    }
    fail(fmt::format("expected an end record, found none in {} bytes; the file is cut off", bytes));
  }

  void find_directory() {
    uint64_t end = find_end();
    uint64_t disk = number(end + 4, 2), directory_disk = number(end + 6, 2);
    uint64_t entries_here = number(end + 8, 2);
    count_ = number(end + 10, 2);
    uint64_t bytes = number(end + 12, 4);
    directory_ = number(end + 16, 4);
    if (end >= kLocator64Bytes && number(end - kLocator64Bytes, 4) == kLocator64Signature) {
      const uint64_t locator = end - kLocator64Bytes;
      const uint64_t record = number(locator + 8, 8);
      if (record > locator || locator - record < kEnd64Bytes || number(record, 4) != kEnd64Signature ||
          number(record + 4, 8) != locator - record - kEnd64Unsized) {
        fail(
            fmt::format("expected the zip64 end record at byte {}, found none that ends where its locator begins, "
                        "at byte {}",
                        record, locator));
      }
      disk = number(record + 16, 4);
      directory_disk = number(record + 20, 4);
      entries_here = number(record + 24, 8);
      const uint64_t short_count = std::exchange(count_, number(record + 32, 8));
      const uint64_t short_bytes = std::exchange(bytes, number(record + 40, 8));
      const uint64_t short_directory = std::exchange(directory_, number(record + 48, 8));
      if ((short_count != kFull16 && short_count != count_) || (short_bytes != kFull32 && short_bytes != bytes) ||
          (short_directory != kFull32 && short_directory != directory_)) {
        fail(
            fmt::format("the end record and the zip64 end record contradict each other: {} and {} entries in {} and "
                        "{} bytes from byte {} and {} on",
                        short_count, count_, short_bytes, bytes, short_directory, directory_));
      }
      end = record;
    }
    if (disk != 0 || directory_disk != 0 || entries_here != count_) fail("expected one archive, found a part of one");
    if (bytes > end || directory_ != end - bytes) {
      fail(fmt::format("expected the central directory to end at byte {}, found {} bytes of it from byte {} on", end,
                       bytes, directory_));
    }
    directory_end_ = end;
  }

  std::vector<Entry> read_central() const {
    std::vector<Entry> entries;
    uint64_t at = directory_;
    while (at < directory_end_) {
      const uint64_t left = directory_end_ - at;
      if (left < kCentralBytes || number(at, 4) != kCentralSignature) {
        fail(fmt::format("central directory: expected an entry at byte {}, found none", at));
      }
      const uint64_t name = number(at + 28, 2), extra = number(at + 30, 2), comment = number(at + 32, 2);
      if (left - kCentralBytes < name + extra + comment) {
        fail(fmt::format("central directory: the entry at byte {} does not end inside it", at));
      }
      entries.push_back(
          read_entry(at, archive_.substr(at + kCentralBytes, name), archive_.substr(at + kCentralBytes + name, extra)));
      at += kCentralBytes + name + extra + comment;
    }
    if (entries.size() != count_) {
      fail(fmt::format("expected {} entries in the central directory, found {}", count_, entries.size()));
    }
    return entries;
  }

  Entry read_entry(uint64_t at, std::string_view name, std::string_view extra) const {
    Entry entry{name, number(at + 42, 4), number(at + 24, 4)};
    uint64_t packed = number(at + 20, 4);
    check_way(entry, number(at + 8, 2), number(at + 10, 2));
    // The zip64 field holds those of the three numbers that are full, in this order.
    std::string_view wide = wide_numbers(entry, extra);
    for (uint64_t* value : {&entry.bytes, &packed, &entry.header}) {
      if (*value != kFull32) continue;
      if (wide.size() < 8) fail(entry, "expected its sizes in a zip64 field, found none that is long enough");
      *value = read_little_endian(wide, 0, 8);
      wide.remove_prefix(8);
    }
    if (packed != entry.bytes) {
      fail(entry, fmt::format("expected stored data of {} bytes, found {}", entry.bytes, packed));
    }
    if (entry.header > directory_ || directory_ - entry.header < kLocalBytes) {
      fail(entry, fmt::format("expected its local header before the central directory at byte {}, found it at byte {}",
                              directory_, entry.header));
    }
    return entry;
  }

  void check_way(const Entry& entry, uint64_t flags, uint64_t method) const {
    if ((flags & (kEncrypted | kMasked)) != 0) fail(entry, "it is encrypted, which torch.save never does");
    if (method != 0) {
      fail(entry, fmt::format("it is compressed (method {}), expected it stored as torch.save does; unless this is a "
                              "TorchScript program, unpack the archive and pack it again with zip -0",
                              method));
    }
  }

  std::string_view wide_numbers(const Entry& entry, std::string_view extra) const {
    while (extra.size() >= 4) {
      const uint64_t id = read_little_endian(extra, 0, 2), bytes = read_little_endian(extra, 2, 2);
      extra.remove_prefix(4);
      if (bytes > extra.size()) fail(entry, "its extra fields are longer than the room for them");
      if (id == kExtra64) return extra.substr(0, bytes);
      extra.remove_prefix(bytes);
    }
    return {};
  }

  // Where the entry's data begin. All of it must lie before `end`.
  uint64_t read_local(const Entry& entry, uint64_t end) const {
    const uint64_t at = entry.header;
    if (end - at < kLocalBytes || number(at, 4) != kLocalSignature) {
      fail(entry, fmt::format("expected its local header at byte {}, found none", at));
    }
    const uint64_t flags = number(at + 6, 2);
    check_way(entry, flags, number(at + 8, 2));
    const uint64_t name = number(at + 26, 2), extra = number(at + 28, 2);
    const uint64_t left = end - at - kLocalBytes;
    if (left < name + extra || left - name - extra < entry.bytes) {
      fail(entry, fmt::format("expected its {} bytes before byte {}, where the next part begins; they overlap or lie "
                              "outside",
                              entry.bytes, end));
    }
    if (archive_.substr(at + kLocalBytes, name) != entry.name) {
      fail(entry, fmt::format("its local header has another name, {}", quote(archive_.substr(at + kLocalBytes, name))));
    }
    for (const uint64_t size : {number(at + 18, 4), number(at + 22, 4)}) {
      const bool elsewhere = size == kFull32 || (size == 0 && (flags & kSizesFollow) != 0);
      if (!elsewhere && size != entry.bytes) {
        fail(entry,
             fmt::format("expected {} bytes as in the central directory, its local header has {}", entry.bytes, size));
      }
    }
    return at + kLocalBytes + name + extra;
  }

  std::string_view archive_;
  const std::string& file_;
  uint64_t directory_ = 0;
  uint64_t directory_end_ = 0;
  uint64_t count_ = 0;
};

}  // namespace

std::map<std::string, std::string_view, std::less<>> read_zip_directory(std::string_view archive,
                                                                        const std::string& file) {
  return ZipReader(archive, file).read();
}

}  // namespace wde
