// OutputSink: a buffered file descriptor whose failures are sentences.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace wde::cli {

// The output cannot be written; what() is a sentence.
class OutputError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Nobody reads the output any more (`| head`): a reason to stop, not to complain.
class ClosedPipe : public OutputError {
 public:
  using OutputError::OutputError;
};

class OutputSink {
 public:
  // "" or "-": standard output.
  explicit OutputSink(const std::string& path);
  ~OutputSink();
  OutputSink(const OutputSink&) = delete;
  OutputSink& operator=(const OutputSink&) = delete;

  void append(std::string_view bytes);
  // For what is formatted in place: append to buffer(), then call maybe_flush().
  std::string& buffer() { return buffer_; }
  void maybe_flush();
  void flush();
  // Flushes and closes; a file system may report only now that the disk is full.
  void close();

  // The position of the next byte in a file whose bytes can be rewritten, nullopt for pipes, terminals and append mode.
  std::optional<uint64_t> rewritable_position();
  void rewrite(uint64_t position, std::string_view bytes);

  const std::string& name() const { return name_; }

 private:
  [[noreturn]] void fail(int error) const;

  int descriptor_ = -1;
  bool owned_ = false;
  std::string name_;
  std::string buffer_;
};

// A sentence on standard error. Where that is closed or full nobody hears it, and nothing else happens.
void say(std::string_view sentence);

// Writes all of it, through short writes, signals and non-blocking pipes. Returns 0 or errno.
int write_all(int descriptor, std::string_view bytes);

}  // namespace wde::cli
