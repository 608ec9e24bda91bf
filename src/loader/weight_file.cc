#include "loader/weight_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <system_error>

#include <fmt/format.h>

#include "wde/result.h"

namespace wde {
namespace {

constexpr size_t kMaxRead = size_t{1} << 30;  // Linux reads at most 2 GiB at once

constexpr int64_t kTick = 100'000'000;  // nanoseconds; kernels' are 1 to 10 ms long

int64_t nanoseconds(const timespec& time) { return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; }

}  // namespace

bool FileStamp::settled() const {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return changed + kTick < nanoseconds(now);
}

WeightFile::WeightFile(const std::string& file) : name_(file), handle_(file), opened_(stamp()) {}

FileStamp WeightFile::stamp() const {
  struct stat status {};
  if (::fstat(descriptor(), &status) != 0) {
    throw LoadError(fmt::format("{}: cannot be looked at: {}", name_, std::generic_category().message(errno)));
  }
  return {status.st_dev, status.st_ino, static_cast<uint64_t>(status.st_size), nanoseconds(status.st_mtim),
          nanoseconds(status.st_ctim)};
}

void WeightFile::read(size_t offset, size_t bytes, void* out) const {
  auto* to = static_cast<char*>(out);
  while (bytes > 0) {
    const ssize_t got = ::pread(descriptor(), to, std::min(bytes, kMaxRead), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      throw LoadError(
          fmt::format("{}: reading at byte {} failed: {}", name_, offset, std::generic_category().message(errno)));
    }
    if (got == 0) {
      throw LoadError(fmt::format("{}: expected {} bytes, as when it was opened; the file was cut off at byte {}",
                                  name_, this->bytes(), offset));
    }
    to += got;
    offset += static_cast<size_t>(got);
    bytes -= static_cast<size_t>(got);
  }
}

std::string WeightFile::read(size_t offset, size_t bytes) const {
  std::string out(bytes, '\0');
  read(offset, bytes, out.data());
  return out;
}

void WeightFile::require_unchanged() const {
  const FileStamp now = stamp();
  if (now.bytes == opened_.bytes && now.modified == opened_.modified) return;
  throw LoadError(fmt::format(
      "{}: the file was written to after it was opened; load the model again when the file is complete", name_));
}

}  // namespace wde
