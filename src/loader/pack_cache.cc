#include "loader/pack_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "loader/content_hash.h"
#include "wde/result.h"

namespace wde {
namespace {

constexpr size_t kAlignment = 64;  // of a block, in the file and so in memory
constexpr const char *kSettings = "settings", *kContents = "contents", *kStamps = "stamps";
constexpr std::string_view kUnfinished = ".part";

std::string hash_name(const std::string& block) { return block + "#xxh3"; }

std::string hash_text(uint64_t hash) { return {reinterpret_cast<const char*>(&hash), sizeof(hash)}; }

std::string text_of(const SafetensorsFile& file, const std::string& name) {
  const auto found = file.tensors().find(name);
  return found == file.tensors().end() ? "" : file.file().read(found->second.offset, found->second.bytes);
}

// A tensor of bytes to be written.
struct Entry {
  std::string name;
  const char* data;
  size_t bytes;
};

std::string header_of(const std::vector<Entry>& entries) {
  nlohmann::json header;
  size_t offset = 0;
  for (const Entry& entry : entries) {
    header[entry.name] = {{"dtype", "U8"}, {"shape", {entry.bytes}}, {"data_offsets", {offset, offset + entry.bytes}}};
    offset += entry.bytes;
  }
  std::string text = header.dump();
  const size_t prefix = sizeof(uint64_t);
  text.append((kAlignment - (prefix + text.size()) % kAlignment) % kAlignment, ' ');
  const uint64_t size = text.size();
  std::string out(prefix, '\0');
  for (size_t i = 0; i < prefix; ++i) out[i] = static_cast<char>(size >> (8 * i) & 0xFF);
  return out + text;
}

// A new file beside the one that it will replace, locked for as long as its writer lives, so that the next one knows
// what is left over.
class UnfinishedFile {
 public:
  explicit UnfinishedFile(const std::string& target)
      : target_(target), name_(target + ".XXXXXX" + std::string(kUnfinished)) {
    descriptor_ = ::mkostemps(name_.data(), static_cast<int>(kUnfinished.size()), O_CLOEXEC);
    if (descriptor_ < 0) {
      note("cannot be made");
      return;
    }
    (void)::flock(descriptor_, LOCK_EX | LOCK_NB);
    (void)::fchmod(descriptor_, 0644);
  }
  ~UnfinishedFile() {
    if (descriptor_ < 0) return;
    if (!renamed_) ::unlink(name_.c_str());
    ::close(descriptor_);
  }
  UnfinishedFile(const UnfinishedFile&) = delete;
  UnfinishedFile& operator=(const UnfinishedFile&) = delete;

  void write(const char* data, size_t bytes) {
    while (problem_.empty() && bytes > 0) {
      const ssize_t written = ::write(descriptor_, data, std::min(bytes, size_t{1} << 30));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return note("cannot be written");
      data += written;
      bytes -= static_cast<size_t>(written);
    }
  }
  // What went wrong, or "".
  std::string finish() {
    if (problem_.empty() && ::rename(name_.c_str(), target_.c_str()) != 0) note("cannot be renamed");
    renamed_ = problem_.empty();
    return problem_;
  }

  // Those of `target` whose writers have ended.
  static void remove_old(const std::string& target) {
    const std::filesystem::path path(target);
    const std::string begin = path.filename().string() + ".";
    std::error_code error;
    for (std::filesystem::directory_iterator at(path.parent_path(), error), end; !error && at != end;
         at.increment(error)) {
      const std::string name = at->path().filename().string();
      if (!name.starts_with(begin) || !name.ends_with(kUnfinished)) continue;
      const int file = ::open(at->path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
      if (file < 0) continue;
      if (::flock(file, LOCK_EX | LOCK_NB) == 0) ::unlink(at->path().c_str());
      ::close(file);
    }
  }

 private:
  void note(const char* what) { problem_ = fmt::format("{}: {}", what, std::generic_category().message(errno)); }

  const std::string target_;
  std::string name_, problem_;
  int descriptor_ = -1;
  bool renamed_ = false;
};

}  // namespace

PackCache::PackCache(std::string file, std::string settings, const std::vector<std::string>& sources)
    : file_(std::move(file)), settings_(std::move(settings)) {
  for (const std::string& source : sources) sources_.push_back(std::make_unique<WeightFile>(source));
  stamps_at_start_ = stamps();
  if (!std::filesystem::exists(file_)) return;
  try {
    auto found = std::make_unique<SafetensorsFile>(file_);
    if (!fits(*found)) return;
    map_ = std::make_unique<MappedFile>(found->file());
    intact_ = found->file().stamp();
    opened_ = std::move(found);
  } catch (const LoadError&) {
    // Damaged: as good as none.
  }
}

bool PackCache::fits(const SafetensorsFile& found) const {
  if (text_of(found, kSettings) != settings_) return false;
  if (!stamps_at_start_.empty() && text_of(found, kStamps) == stamps_at_start_) return true;
  return text_of(found, kContents) == contents();
}

std::string PackCache::stamps() const {
  std::string out;
  for (const auto& source : sources_) {
    const FileStamp stamp = source->stamp();
    if (!stamp.settled()) return "";
    out += fmt::format("{} {} {} {} {} {}\n", source->name(), stamp.device, stamp.inode, stamp.bytes, stamp.modified,
                       stamp.changed);
  }
  return out;
}

std::string PackCache::contents() const {
  std::string out;
  for (const auto& source : sources_) out += hash_file(*source) + '\n';
  return out;
}

float* PackCache::find(const std::string& name, size_t bytes) {
  asked_ = fmt::format("{}:{}", asked_blocks_++, name);
  if (!opened_) return nullptr;
  const auto& tensors = opened_->tensors();
  const auto block = tensors.find(asked_), sum = tensors.find(hash_name(asked_));
  if (block == tensors.end() || sum == tensors.end() || block->second.bytes != bytes) return nullptr;
  const char* const data = map_->bytes().data() + block->second.offset;
  if (reinterpret_cast<uintptr_t>(data) % kAlignment != 0) return nullptr;
  const uint64_t hash = hash_bytes(data, bytes);
  if (map_->bytes().substr(sum->second.offset, sum->second.bytes) != hash_text(hash)) return nullptr;
  // Linears write only into memory that is their own.
  auto* floats = const_cast<float*>(reinterpret_cast<const float*>(data));
  found_.push_back({asked_, floats, bytes, hash});
  mapped_ += bytes;
  return floats;
}

void PackCache::add(const float* data, size_t bytes) { added_.push_back({asked_, data, bytes, 0}); }

std::string PackCache::save() {
  if (added_.empty()) return "";
  std::vector<Entry> entries;
  std::vector<std::string> hashes;
  for (const auto* blocks : {&found_, &added_}) {
    for (const Block& block : *blocks) {
      entries.push_back({block.name, reinterpret_cast<const char*>(block.data), block.bytes});
      hashes.push_back(hash_text(hash_bytes(block.data, block.bytes)));
    }
  }
  const size_t blocks = entries.size();
  for (size_t i = 0; i < blocks; ++i)
    entries.push_back({hash_name(entries[i].name), hashes[i].data(), hashes[i].size()});
  const std::string contents = this->contents();
  // The same before and after: what was packed is what was read.
  const std::string stamps = this->stamps() == stamps_at_start_ ? stamps_at_start_ : "";
  entries.push_back({kSettings, settings_.data(), settings_.size()});
  entries.push_back({kContents, contents.data(), contents.size()});
  entries.push_back({kStamps, stamps.data(), stamps.size()});

  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(file_).parent_path(), error);
  UnfinishedFile::remove_old(file_);
  UnfinishedFile out(file_);
  const std::string header = header_of(entries);
  out.write(header.data(), header.size());
  for (const Entry& entry : entries) out.write(entry.data, entry.bytes);
  const std::string problem = out.finish();
  return problem.empty() ? "" : fmt::format("{}: the packed weights are not kept: the file {}", file_, problem);
}

void PackCache::require_intact() {
  if (found_.empty()) return;
  const std::scoped_lock lock(mutex_);
  const FileStamp now = opened_->file().stamp();
  if (map_->whole() && now == intact_) return;
  // Written to, or renamed, or given to another user: the contents decide.
  for (const Block& block : found_) {
    if (hash_bytes(block.data, block.bytes) == block.hash && map_->whole()) continue;
    throw LoadError(
        fmt::format("{}: the packed weights were changed while they are in use; load the model again (the file may be "
                    "removed at any time, but not written over)",
                    file_));
  }
  intact_ = now;
}

}  // namespace wde
