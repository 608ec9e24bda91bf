#include "cli/output_sink.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "cli/printable.h"

namespace wde::cli {
namespace {

constexpr size_t kBufferBytes = 256 << 10;

}  // namespace

int write_all(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes.remove_prefix(static_cast<size_t>(written));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      pollfd waiting{descriptor, POLLOUT, 0};
      ::poll(&waiting, 1, -1);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

void say(std::string_view sentence) { (void)write_all(STDERR_FILENO, fmt::format("{}\n", printable(sentence))); }

OutputSink::OutputSink(const std::string& path) {
  if (path.empty() || path == "-") {
    descriptor_ = STDOUT_FILENO;
    name_ = "standard output";
    return;
  }
  name_ = path;
  owned_ = true;
  descriptor_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw OutputError(fmt::format("cannot open {} for writing: {}", name_, std::strerror(errno)));
}

OutputSink::~OutputSink() {
  if (owned_ && descriptor_ >= 0) ::close(descriptor_);
}

void OutputSink::fail(int error) const {
  if (error == EPIPE) throw ClosedPipe(fmt::format("cannot write {}: its reader has gone", name_));
  throw OutputError(fmt::format("cannot write {}: {}", name_, std::strerror(error)));
}

void OutputSink::append(std::string_view bytes) {
  buffer_ += bytes;
  maybe_flush();
}

void OutputSink::maybe_flush() {
  if (buffer_.size() >= kBufferBytes) flush();
}

void OutputSink::flush() {
  if (buffer_.empty()) return;
  if (const int error = write_all(descriptor_, buffer_)) fail(error);
  buffer_.clear();
  if (buffer_.capacity() > 16 * kBufferBytes) buffer_.shrink_to_fit();  // one huge row must not stay for ever
}

void OutputSink::close() {
  flush();
  if (!owned_ || descriptor_ < 0) return;
  const int descriptor = descriptor_;
  descriptor_ = -1;
  if (::close(descriptor) != 0 && errno != EINTR) fail(errno);
}

std::optional<uint64_t> OutputSink::rewritable_position() {
  flush();
  struct stat facts = {};
  const int flags = ::fcntl(descriptor_, F_GETFL);
  if (flags < 0 || (flags & O_APPEND) != 0 || ::fstat(descriptor_, &facts) != 0 || !S_ISREG(facts.st_mode)) {
    return std::nullopt;
  }
  const off_t position = ::lseek(descriptor_, 0, SEEK_CUR);
  if (position < 0) return std::nullopt;
  return static_cast<uint64_t>(position);
}

void OutputSink::rewrite(uint64_t position, std::string_view bytes) {
  flush();
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(position));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(errno);
    bytes.remove_prefix(static_cast<size_t>(written));
    position += static_cast<uint64_t>(written);
  }
}

}  // namespace wde::cli
