// AccessLog: a line for every request, as text or JSON. Never what was in its body.
#pragma once

#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>

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
  explicit AccessLog(LogFormat format) : format_(format) {}
  void write(const AccessEntry& entry);
  // What is not about a request; in the log's format (as text if there is none).
  void event(std::string_view sentence);

 private:
  void line(const std::string& text);

  LogFormat format_;
  std::mutex mutex_;
};

std::string utc_time();  // "2026-01-31T12:00:00.123Z"

}  // namespace wde::server
