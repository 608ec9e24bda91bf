// PackCache: packed weights in a file, which the next process maps instead of packing them again; processes that map
// the same file share its memory. A safetensors file of bytes: every block, its checksum, what it was packed for, and
// the contents that it was packed from. A file for other settings or other contents, or a damaged one, counts as none
// and is written anew.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "loader/mapped_file.h"
#include "loader/safetensors.h"

namespace wde {

class PackCache {
 public:
  // `settings`: all that the packed bytes depend on but for the contents of `sources`, the files that they are packed
  // from. A source's contents are taken for the same if its stamp (name, size, times of change) is that of before, else
  // if all its bytes have the hash of before.
  PackCache(std::string file, std::string settings, const std::vector<std::string>& sources);

  // The next block, 64-byte aligned, or nullptr. Read-only; lives as long as the cache. Blocks are asked for in the
  // order of packing, which the name confirms.
  float* find(const std::string& name, size_t bytes);
  // What find() had not just now, for save(). `data` must be there until then.
  void add(const float* data, size_t bytes);
  // Writes the file if anything was added: beside it first, so that there is a whole one at any time. Removes what
  // processes left that ended while they wrote. What went wrong, or "".
  std::string save();

  // Throws LoadError where a block that was found is not any more what it was: somebody has written over the file.
  // Cheap while nobody has touched it. From any thread.
  void require_intact();

  const std::string& file() const { return file_; }
  size_t mapped_bytes() const { return mapped_; }  // of blocks that were found

 private:
  struct Block {
    std::string name;
    const float* data;
    size_t bytes;
    uint64_t hash;
  };
  bool fits(const SafetensorsFile& found) const;
  std::string stamps() const;    // of all sources; "": they may change without a sign
  std::string contents() const;  // of all sources

  std::string file_, settings_;
  std::vector<std::unique_ptr<WeightFile>> sources_;
  std::string stamps_at_start_;
  std::unique_ptr<SafetensorsFile> opened_;  // nullptr: there is no file that fits
  std::unique_ptr<MappedFile> map_;          // likewise
  std::vector<Block> found_, added_;
  std::string asked_;  // the last block's name, with its number
  size_t asked_blocks_ = 0, mapped_ = 0;

  std::mutex mutex_;  // guards what follows
  FileStamp intact_;  // of the file when its blocks were last known to be whole
};

}  // namespace wde
