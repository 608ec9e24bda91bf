// LogWriter: lines to standard error, written by a thread of its own, so that nobody waits for a reader that has
// stopped reading. What does not fit meanwhile is dropped and counted, and so is what standard error does not take: it
// may be closed, a full disk, or a pipe without a reader.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace wde::server {

class LogWriter {
 public:
  struct Callbacks {
    // The line that says how many were dropped.
    std::function<std::string(uint64_t lines)> about_dropped;
    // Further lines, asked for about once a second and at the end. Must not call line().
    std::function<std::string(bool last)> more;
  };
  explicit LogWriter(Callbacks callbacks);
  // Waits until all is written, but not for long if nobody reads.
  ~LogWriter();
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  void line(std::string text);  // with its "\n"
  uint64_t dropped() const;

 private:
  // Outlives the writer where its thread is stuck in a write.
  struct Shared;

  static void run(Shared& shared);

  std::shared_ptr<Shared> shared_;
};

}  // namespace wde::server
