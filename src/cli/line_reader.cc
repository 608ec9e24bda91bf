#include "cli/line_reader.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace wde::cli {
namespace {

constexpr size_t kBlockBytes = 64 << 10;
constexpr size_t kKeptOfTooLong = 256;  // enough to tell JSON from text

}  // namespace

LineReader::LineReader(int descriptor, std::string name, size_t max_line_bytes)
    : descriptor_(descriptor), name_(std::move(name)), max_line_bytes_(max_line_bytes), buffer_(kBlockBytes) {}

bool LineReader::fill() {
  for (;;) {
    const ssize_t got = ::read(descriptor_, buffer_.data(), buffer_.size());
    if (got >= 0) {
      position_ = 0;
      end_ = static_cast<size_t>(got);
      return got > 0;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) {  // a pipe that its other user made non-blocking
      pollfd waiting{descriptor_, POLLIN, 0};
      ::poll(&waiting, 1, -1);
      continue;
    }
    throw InputError(fmt::format("cannot read {}: {}", name_, std::strerror(errno)));
  }
}

std::string_view LineReader::peek() {
  if (position_ == end_ && !fill()) return {};
  return {buffer_.data() + position_, end_ - position_};
}

int LineReader::get() {
  if (position_ == end_ && !fill()) return -1;
  const auto byte = static_cast<unsigned char>(buffer_[position_++]);
  ++bytes_read_;
  if (byte == '\n') ++line_number_;
  return byte;
}

LineReader::Status LineReader::next(std::string& line) {
  line.clear();
  bool started = false;
  bool too_long = false;
  for (;;) {
    if (position_ == end_ && !fill()) {
      if (!started) return Status::kEnd;
      break;
    }
    started = true;
    const char* begin = buffer_.data() + position_;
    const char* newline = static_cast<const char*>(std::memchr(begin, '\n', end_ - position_));
    const size_t length = newline ? static_cast<size_t>(newline - begin) : end_ - position_;
    if (!too_long && length > max_line_bytes_ - line.size()) {
      too_long = true;
      line.append(begin, length);
      line.resize(std::min(line.size(), kKeptOfTooLong));
      line.shrink_to_fit();
    } else if (!too_long) {
      line.append(begin, length);
    }
    const size_t used = length + (newline ? 1 : 0);
    position_ += used;
    bytes_read_ += used;
    if (newline) break;
  }
  ++line_number_;
  if (line_number_ == 1 && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);
  return too_long ? Status::kTooLong : Status::kLine;
}

}  // namespace wde::cli
