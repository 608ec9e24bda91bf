// AccessLog: a line for every request, as text or JSON, and what else the server has to say. Never what was in a body.
// Of error lines that are equal but for their numbers, only the first few are written, and how many there were more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "server/observe/log_writer.h"
#include "server/observe/repeats.h"

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
  void write(const AccessEntry& entry);
  // What is not about a request; in the log's format (as text if there is none).
  void event(std::string_view sentence);

  LogFormat format() const { return format_; }
  uint64_t dropped() const { return writer_.dropped(); }     // lines that nobody took
  uint64_t left_out() const { return repeats_.left_out(); }  // lines like others

 private:
  std::string left_out_lines(bool last);

  LogFormat format_;
  Repeats repeats_;
  LogWriter writer_;  // ends first
};

// A value of a text line: as it is where it is one plain word, else in quotes and escaped as in JSON.
std::string log_value(std::string_view text);
// A path with everything percent-encoded that could be taken for something else.
std::string log_path(std::string_view path);
std::string utc_time();  // "2026-01-31T12:00:00.123Z"

}  // namespace wde::server
