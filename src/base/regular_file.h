// What opens and reads files that may be anything: only regular ones, so that no pipe is waited for and no device read
// without end.
#pragma once

#include <cstddef>
#include <string>

namespace wde {

// A file descriptor that closes itself.
class FileHandle {
 public:
  // Opens a regular file for reading. Throws LoadError: missing, a directory, a pipe or a device, not readable.
  explicit FileHandle(const std::string& file);
  ~FileHandle();
  FileHandle(const FileHandle&) = delete;
  FileHandle& operator=(const FileHandle&) = delete;
  int descriptor() const { return descriptor_; }
  size_t bytes() const { return bytes_; }  // when it was opened

 private:
  int descriptor_ = -1;
  size_t bytes_ = 0;
};

// Throws LoadError: as FileHandle, and for a file of more bytes.
std::string read_regular_file(const std::string& file, size_t most_bytes);

}  // namespace wde
