// LineReader: lines of a file descriptor with bounded memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace wde::cli {

// The input cannot be opened or read; what() is a sentence.
class InputError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

inline constexpr size_t kMaxLineBytes = size_t{64} << 20;

class LineReader {
 public:
  enum class Status { kLine, kTooLong, kEnd };

  LineReader(int descriptor, std::string name, size_t max_line_bytes = kMaxLineBytes);

  // `line` without its "\n". kTooLong: the line was skipped, `line` holds only its beginning.
  // A UTF-8 byte order mark at the very beginning is dropped. Throws InputError.
  Status next(std::string& line);

  // The next byte, or -1 at the end; for what is not made of lines. Throws InputError.
  int get();
  // What has been read ahead: the first bytes of the input before anything else is called. Throws InputError.
  std::string_view peek();

  const std::string& name() const { return name_; }
  uint64_t line_number() const { return line_number_; }  // of the last line given, from 1
  uint64_t bytes_read() const { return bytes_read_; }    // up to and with the last line given

 private:
  bool fill();  // false: end of the input

  const int descriptor_;
  const std::string name_;
  const size_t max_line_bytes_;
  std::vector<char> buffer_;
  size_t position_ = 0;
  size_t end_ = 0;
  uint64_t line_number_ = 0;
  uint64_t bytes_read_ = 0;
};

}  // namespace wde::cli
