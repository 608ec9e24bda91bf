#include "base/regular_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "wde/result.h"

namespace wde {
namespace {

std::string system_message(int error) { return std::generic_category().message(error); }

}  // namespace

FileHandle::FileHandle(const std::string& file) {
  if (file.find('\0') != std::string::npos) throw LoadError(std::string("a file name has no zero byte"));
  // Not blocking: opening a pipe would wait for its writer.
  descriptor_ = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) {
    const int error = errno;
    throw LoadError(
        fmt::format("{}: expected a readable file, but it cannot be opened: {}", file, system_message(error)));
  }
  struct stat status {};
  std::string found;
  if (::fstat(descriptor_, &status) != 0) {
    found = system_message(errno);
  } else if (S_ISDIR(status.st_mode)) {
    found = "a directory";
  } else if (!S_ISREG(status.st_mode)) {
    found = "a pipe, socket or device";
  }
  if (!found.empty()) {
    ::close(descriptor_);
    throw LoadError(fmt::format("{}: expected a regular file, found {}", file, found));
  }
  bytes_ = static_cast<size_t>(status.st_size);
}

FileHandle::~FileHandle() { ::close(descriptor_); }

std::string read_regular_file(const std::string& file, size_t most_bytes) {
  const FileHandle handle(file);
  if (handle.bytes() > most_bytes) {
    throw LoadError(
        fmt::format("{}: expected a file of at most {} bytes, it has {} bytes", file, most_bytes, handle.bytes()));
  }
  std::string text(handle.bytes(), '\0');
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t count = ::read(handle.descriptor(), text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw LoadError(fmt::format("{}: reading failed: {}", file, system_message(errno)));
    if (count == 0) break;
    done += static_cast<size_t>(count);
  }
  text.resize(done);
  return text;
}

}  // namespace wde
