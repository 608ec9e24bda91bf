// Spans: what a trace tells of one request, and OTLP's JSON of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/net/http.h"
#include "server/observe/trace_context.h"
#include "wde/response.h"

namespace wde::server {

// A stretch of a request in which any of its texts was in a stage.
struct StageSpan {
  std::string_view name;  // "tokenize", "queue", "inference"
  SpanId id{};
  Clock::time_point begin, end;
};
// Without ids.
std::vector<StageSpan> stages_of(const std::vector<Response>& responses);

struct RequestSpan {
  TraceContext context;          // the request's own span
  std::optional<SpanId> parent;  // the client's
  Clock::time_point begin, end;
  int64_t clock_offset = 0;  // nanoseconds from Clock to Unix time
  std::string method, route, path, model, request_id, error;
  int status = 0;
  size_t texts = 0, tokens = 0;
  std::vector<StageSpan> stages;

  size_t spans() const { return 1 + stages.size(); }
};

// The body of POST /v1/traces.
std::string otlp_json(const std::vector<RequestSpan>& requests, const std::string& service);

}  // namespace wde::server
