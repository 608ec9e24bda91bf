// TraceExporter: sends requests' spans to an OpenTelemetry collector by OTLP/HTTP in JSON. A thread of its own sends;
// requests only leave their spans in a bounded queue, and what does not fit there is dropped and counted.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/thread_group.h"
#include "server/observe/spans.h"

namespace wde::server {

struct TraceOptions {
  std::string url;  // of /v1/traces; "": nothing is sent
  std::string service = "wde";
  std::vector<std::pair<std::string, std::string>> headers;
  size_t queue = 2048;  // requests
  size_t batch = 512;   // requests
  double delay_seconds = 1;
  double timeout_seconds = 10;

  // `endpoint` and `service` are the flags' and may be empty; what they leave open is read from OpenTelemetry's
  // environment variables. Throws UsageError.
  static TraceOptions from_environment(const std::string& endpoint, const std::string& service);
};

class TraceExporter {
 public:
  // `report` is told in a sentence when sending begins to fail, and when it goes well again.
  TraceExporter(TraceOptions options, std::function<void(std::string_view)> report);
  ~TraceExporter();

  // A request's own span and its parent's, or nullopt if its client does not want it traced.
  struct Started {
    TraceContext context;
    std::optional<SpanId> parent;
  };
  std::optional<Started> start(std::string_view traceparent);
  void add(RequestSpan span);

  // Sends what is left, for at most so many seconds and the second in which libcurl notices. Idempotent.
  void stop(double seconds);

  uint64_t sent() const { return sent_; }  // spans
  uint64_t dropped() const { return dropped_; }

 private:
  enum class Outcome { kSent, kLater, kRefused };

  uint64_t random();
  SpanId new_span_id();
  void run();
  void send(std::vector<RequestSpan>& batch);
  Outcome post(const std::string& body, double seconds);
  static int on_progress(void* self, int64_t, int64_t, int64_t, int64_t);
  bool wait_to_retry(double seconds);
  double seconds_left() const;  // until stop()'s end
  void tell(std::string problem);

  const TraceOptions options_;
  const std::function<void(std::string_view)> report_;
  std::atomic<uint64_t> seed_;
  std::atomic<uint64_t> sent_{0}, dropped_{0};
  std::string problem_;   // the thread's own
  void* curl_ = nullptr;  // likewise

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<RequestSpan> queue_;
  bool stopping_ = false;
  Clock::time_point end_;  // when stopping
  ThreadGroup thread_;
};

}  // namespace wde::server
