// MappedFile: a file as memory, for reading. Where its pages cannot be read any more (the file was cut off, the disk
// fails) they read as zeros, and whole() says so: what was computed meanwhile does not count.
#pragma once

#include <atomic>
#include <cstddef>
#include <string_view>

#include "loader/weight_file.h"

namespace wde {

class MappedFile {
 public:
  explicit MappedFile(const WeightFile& file);  // which must outlive it; throws LoadError: it is empty
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::string_view bytes() const { return {static_cast<const char*>(data_), file_.bytes()}; }
  bool whole() const;  // every page that was touched could be read

  struct Slot;

 private:
  const WeightFile& file_;
  void* data_ = nullptr;
  Slot* slot_ = nullptr;
};

}  // namespace wde
