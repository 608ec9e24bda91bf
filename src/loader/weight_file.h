// WeightFile: a file of weights, held open and read by position. Nothing of it is mapped: a file that is cut off, that
// another program writes over, or whose disk fails gives an error and never a signal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "loader/json_file.h"

namespace wde {

// What the system knows of a file without reading it. Equal stamps mean equal contents: a write changes `changed`,
// which nobody can set back. The reverse does not hold: a new name or owner changes it too.
struct FileStamp {
  uint64_t device = 0, inode = 0, bytes = 0;
  int64_t modified = 0, changed = 0;  // nanoseconds
  bool operator==(const FileStamp&) const = default;
  // The clock of the file system has ticked since: a write from now on gives another stamp.
  bool settled() const;
};

class WeightFile {
 public:
  explicit WeightFile(const std::string& file);  // throws LoadError: as FileHandle

  const std::string& name() const { return name_; }
  size_t bytes() const { return handle_.bytes(); }  // when it was opened
  int descriptor() const { return handle_.descriptor(); }
  FileStamp stamp() const;  // now; throws LoadError

  // Precondition: offset + bytes <= bytes(). Throws LoadError: it cannot be read, or is shorter than it was.
  void read(size_t offset, size_t bytes, void* out) const;
  std::string read(size_t offset, size_t bytes) const;
  // Throws LoadError if the file was written to since it was opened. (Names and owners may change.)
  void require_unchanged() const;

 private:
  const std::string name_;
  const FileHandle handle_;
  const FileStamp opened_;
};

}  // namespace wde
