#include "loader/pack_cache.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "wde/result.h"

namespace wde {
namespace {

constexpr size_t kAlignment = 64;  // of a block, in the file and so in memory
constexpr const char* kKeyTensor = "key";

std::string checksum_name(const std::string& block) { return block + "#xxh3"; }

std::string checksum(const void* data, size_t bytes) {
  const uint64_t hash = XXH3_64bits(data, bytes);
  std::string out(sizeof(hash), '\0');
  std::memcpy(out.data(), &hash, sizeof(hash));
  return out;
}

std::string_view text_of(const TensorView& tensor) {
  return {reinterpret_cast<const char*>(tensor.data), tensor.bytes};
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

}  // namespace

PackCache::PackCache(std::string file, std::string key) : file_(std::move(file)), key_(std::move(key)) {
  if (!std::filesystem::exists(file_)) return;
  try {
    auto mapped = std::make_unique<SafetensorsFile>(file_);
    const auto found = mapped->tensors().find(kKeyTensor);
    if (found != mapped->tensors().end() && text_of(found->second) == key_) mapped_file_ = std::move(mapped);
  } catch (const LoadError&) {
    // Damaged: as good as none.
  }
}

float* PackCache::find(const std::string& name, size_t bytes) {
  asked_ = fmt::format("{}:{}", asked_blocks_++, name);
  if (!mapped_file_) return nullptr;
  const auto& tensors = mapped_file_->tensors();
  const auto block = tensors.find(asked_), sum = tensors.find(checksum_name(asked_));
  if (block == tensors.end() || sum == tensors.end() || block->second.bytes != bytes) return nullptr;
  const std::byte* data = block->second.data;
  if (reinterpret_cast<uintptr_t>(data) % kAlignment != 0 || text_of(sum->second) != checksum(data, bytes)) {
    return nullptr;
  }
  // Linears write only into memory that is their own.
  auto* floats = const_cast<float*>(reinterpret_cast<const float*>(data));
  found_.push_back({asked_, floats, bytes});
  mapped_ += bytes;
  return floats;
}

void PackCache::add(const float* data, size_t bytes) { added_.push_back({asked_, data, bytes}); }

std::string PackCache::save() const {
  if (added_.empty()) return "";
  std::vector<Entry> entries;
  std::vector<std::string> sums;
  for (const auto* blocks : {&found_, &added_}) {
    for (const Block& block : *blocks) {
      entries.push_back({block.name, reinterpret_cast<const char*>(block.data), block.bytes});
      sums.push_back(checksum(block.data, block.bytes));
    }
  }
  const size_t blocks = entries.size();
  for (size_t i = 0; i < blocks; ++i)
    entries.push_back({checksum_name(entries[i].name), sums[i].data(), sums[i].size()});
  entries.push_back({kKeyTensor, key_.data(), key_.size()});

  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(file_).parent_path(), error);
  const std::string beside = fmt::format("{}.{}.part", file_, ::getpid());
  std::ofstream out(beside, std::ios::binary | std::ios::trunc);
  const std::string header = header_of(entries);
  out.write(header.data(), static_cast<std::streamsize>(header.size()));
  for (const Entry& entry : entries) out.write(entry.data, static_cast<std::streamsize>(entry.bytes));
  out.close();
  if (out) std::filesystem::rename(beside, file_, error);
  if (out && !error) return "";
  const std::string why = error ? error.message() : "it could not be written";
  std::filesystem::remove(beside, error);
  return fmt::format("{}: the packed weights are not kept: {}", file_, why);
}

std::string file_stamp(const std::string& file) {
  std::error_code error;
  const std::string real = std::filesystem::canonical(file, error).string();
  struct stat status {};
  if (error || ::stat(real.c_str(), &status) != 0) return file;
  return fmt::format("{} {} {}.{:09}", real, status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
}

}  // namespace wde
