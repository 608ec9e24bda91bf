// AccessLog: a line for every request, as text or JSON. Never what was in its body. A thread of its own writes, so that
// nobody waits for a reader that has stopped reading; what does not fit meanwhile is dropped and counted.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>

#include "base/thread_group.h"

namespace wde::server {

enum class LogFormat { kOff, kText, kJson };

struct AccessEntry {
  std::string_view remote, method, path, model, request_id, traceparent, error;
  int status = 0;
  size_t bytes_in = 0, bytes_out = 0, inputs = 0, tokens = 0;
  double seconds = 0;
};

class AccessLog {
 public:
  explicit AccessLog(LogFormat format);
  ~AccessLog();  // when all is written
  void write(const AccessEntry& entry);
  // What is not about a request; in the log's format (as text if there is none).
  void event(std::string_view sentence);

 private:
  void line(std::string text);
  void run();

  LogFormat format_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::string waiting_;
  size_t dropped_ = 0;
  bool stopping_ = false;
  ThreadGroup thread_;
};

std::string utc_time();  // "2026-01-31T12:00:00.123Z"

}  // namespace wde::server
