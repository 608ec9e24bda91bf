// PackCache: packed weights in a file, which the next process maps instead of packing them again; processes that map
// the same file share its memory. A safetensors file of bytes: every block, its checksum, and the key, which is all
// that the packed bytes depend on. A file with another key, or a damaged one, counts as none and is written anew.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "loader/safetensors.h"

namespace wde {

class PackCache {
 public:
  PackCache(std::string file, std::string key);

  // The next block, 64-byte aligned, or nullptr. Read-only; lives as long as the cache. Blocks are asked for in the
  // order of packing, which the name confirms.
  float* find(const std::string& name, size_t bytes);
  // What find() had not just now, for save(). `data` must be there until then.
  void add(const float* data, size_t bytes);
  // Writes the file if anything was added: beside it first, so that there is a whole one at any time. What went wrong,
  // or "".
  std::string save() const;

  const std::string& file() const { return file_; }
  size_t mapped_bytes() const { return mapped_; }  // of blocks that were found

 private:
  struct Block {
    std::string name;
    const float* data;
    size_t bytes;
  };
  std::string file_, key_;
  std::unique_ptr<SafetensorsFile> mapped_file_;  // nullptr: there is none that fits
  std::vector<Block> found_, added_;
  std::string asked_;  // the last block's name, with its number
  size_t asked_blocks_ = 0, mapped_ = 0;
};

// What a file's content is known by without reading it: its real path, size and time of change.
std::string file_stamp(const std::string& file);

}  // namespace wde
