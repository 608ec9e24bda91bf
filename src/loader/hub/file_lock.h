// FileLock: the lock that huggingface_hub takes for a file (flock on a file of its own), so that two processes of any
// kind do not download the same thing.
#pragma once

#include <functional>
#include <string>

namespace wde::hub {

class FileLock {
 public:
  // Waits for it; `waiting` some times a second, may throw. On file systems without locks there is none, and what is
  // downloaded is checked by its hash all the same. Throws LoadError: the file cannot be made.
  FileLock(const std::string& file, const std::function<void()>& waiting);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace wde::hub
