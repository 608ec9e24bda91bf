#include "loader/hub/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <system_error>
#include <thread>

#include <fmt/format.h>

#include "wde/result.h"

namespace wde::hub {
namespace {

constexpr std::chrono::milliseconds kPoll{100};

// Whoever had the lock may have removed its file: then the name means another file now, or none.
bool still_there(int descriptor, const std::string& file) {
  struct stat held {};
  struct stat named {};
  return ::fstat(descriptor, &held) == 0 && ::stat(file.c_str(), &named) == 0 && held.st_dev == named.st_dev &&
         held.st_ino == named.st_ino;
}

}  // namespace

FileLock::FileLock(const std::string& file, const std::function<void()>& waiting) {
  for (;;) {
    descriptor_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor_ < 0) {
      throw LoadError(
          fmt::format("{}: the lock file cannot be made: {}", file, std::generic_category().message(errno)));
    }
    const int result = ::flock(descriptor_, LOCK_EX | LOCK_NB);
    const bool busy = result != 0 && (errno == EWOULDBLOCK || errno == EINTR);
    if (!busy && (result != 0 || still_there(descriptor_, file))) return;
    ::close(descriptor_);
    descriptor_ = -1;
    if (!busy) continue;
    waiting();
    std::this_thread::sleep_for(kPoll);
  }
}

FileLock::~FileLock() { ::close(descriptor_); }

}  // namespace wde::hub
