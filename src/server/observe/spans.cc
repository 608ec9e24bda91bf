#include "server/observe/spans.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/json/json_out.h"
#include "wde/engine.h"

namespace wde::server {
namespace {

// OTLP's numbers of a span's kind and status.
constexpr int kInternal = 1;
constexpr int kServer = 2;
constexpr int kStatusError = 2;

// OTLP's JSON has 64-bit numbers as strings.
std::string unix_nanos(Clock::time_point at, int64_t offset) {
  const auto since = std::chrono::duration_cast<std::chrono::nanoseconds>(at.time_since_epoch()).count();
  return fmt::to_string(since + offset);
}

void write_text(JsonOut& out, std::string_view key, std::string_view value) {
  out.open('{').key("key").plain(key).key("value").open('{').key("stringValue").text(value).close('}').close('}');
}

void write_number(JsonOut& out, std::string_view key, size_t value) {
  out.open('{').key("key").plain(key).key("value").open('{');
  out.key("intValue").plain(fmt::to_string(value)).close('}').close('}');
}

void write_head(JsonOut& out, const RequestSpan& request, const SpanId& id, const SpanId* parent, std::string_view name,
                int kind, Clock::time_point begin, Clock::time_point end) {
  out.open('{').key("traceId").plain(to_hex(request.context.trace)).key("spanId").plain(to_hex(id));
  if (parent != nullptr) out.key("parentSpanId").plain(to_hex(*parent));
  out.key("name").text(name).key("kind").integer(kind);
  out.key("startTimeUnixNano").plain(unix_nanos(begin, request.clock_offset));
  out.key("endTimeUnixNano").plain(unix_nanos(std::max(begin, end), request.clock_offset));
}

void write_request(JsonOut& out, const RequestSpan& request) {
  write_head(out, request, request.context.span, request.parent ? &*request.parent : nullptr,
             request.method + " " + request.route, kServer, request.begin, request.end);
  out.key("attributes").open('[');
  write_text(out, "http.request.method", request.method);
  write_text(out, "http.route", request.route);
  write_text(out, "url.path", request.path);
  write_number(out, "http.response.status_code", static_cast<size_t>(request.status));
  write_text(out, "wde.request_id", request.request_id);
  if (!request.model.empty()) write_text(out, "wde.model", request.model);
  write_number(out, "wde.texts", request.texts);
  write_number(out, "wde.tokens", request.tokens);
  out.close(']').key("status").open('{');
  // A client's mistake is no error of the server's.
  if (request.status >= 500) out.key("code").integer(kStatusError).key("message").text(request.error);
  out.close('}').close('}');
  for (const StageSpan& stage : request.stages) {
    write_head(out, request, stage.id, &request.context.span, stage.name, kInternal, stage.begin, stage.end);
    out.close('}');
  }
}

}  // namespace

std::vector<StageSpan> stages_of(const std::vector<Response>& responses) {
  if (responses.empty()) return {};
  const Timing& first = responses[0].timing;
  std::vector<StageSpan> out = {{"tokenize", {}, first.tokenizing, first.tokenized},
                                {"queue", {}, first.tokenized, first.executing},
                                {"inference", {}, first.executing, first.executed}};
  const auto widen = [](StageSpan& stage, Clock::time_point begin, Clock::time_point end) {
    stage.begin = std::min(stage.begin, begin);
    stage.end = std::max(stage.end, end);
  };
  for (const Response& response : responses) {
    const Timing& timing = response.timing;
    widen(out[0], timing.tokenizing, timing.tokenized);
    widen(out[1], timing.tokenized, timing.executing);
    widen(out[2], timing.executing, timing.executed);
  }
  return out;
}

std::string otlp_json(const std::vector<RequestSpan>& requests, const std::string& service) {
  JsonOut out;
  out.open('{').key("resourceSpans").open('[').open('{').key("resource").open('{').key("attributes").open('[');
  write_text(out, "service.name", service);
  write_text(out, "service.version", version());
  out.close(']').close('}').key("scopeSpans").open('[').open('{');
  out.key("scope").open('{').key("name").plain("wde").key("version").text(version()).close('}');
  out.key("spans").open('[');
  for (const RequestSpan& request : requests) write_request(out, request);
  out.close(']').close('}').close(']').close('}').close(']').close('}');
  return out.take();
}

}  // namespace wde::server
