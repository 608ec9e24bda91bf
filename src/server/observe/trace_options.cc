// TraceOptions as OpenTelemetry's environment variables give them.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "base/text.h"
#include "server/observe/trace_exporter.h"
#include "wde/engine_args.h"
#include "wde/result.h"

namespace wde::server {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

void read_number(const char* name, size_t least, size_t& out) {
  const std::string text = variable(name);
  if (text.empty()) return;
  size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least || value > 100'000'000) {
    throw UsageError(fmt::format("{}=\"{}\" is no number from {} to 100000000.", name, text, least));
  }
  out = value;
}

void read_milliseconds(const char* name, double& seconds) {
  auto value = static_cast<size_t>(seconds * 1000);
  read_number(name, 1, value);
  seconds = static_cast<double>(value) / 1000;
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool escape =
        text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0;
    out += escape ? static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2])) : text[i];
    if (escape) i += 2;
  }
  return out;
}

// "name=value,name=value", the values percent-encoded.
std::vector<std::pair<std::string, std::string>> parse_headers(const char* name) {
  std::vector<std::pair<std::string, std::string>> out;
  const std::string text = variable(name);
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string item(trimmed(std::string_view(text).substr(begin, end - begin)));
    begin = end + 1;
    if (item.empty()) continue;
    const size_t equals = item.find('=');
    const std::string key(trimmed(std::string_view(item).substr(0, equals)));
    const std::string value =
        equals == std::string::npos ? "" : percent_decoded(trimmed(std::string_view(item).substr(equals + 1)));
    const auto fit = [](const std::string& part, char least) {
      return std::all_of(part.begin(), part.end(), [&](char c) { return c >= least && c != 0x7F; });
    };
    // The values may be secrets and are not repeated.
    if (key.empty() || equals == std::string::npos || !fit(key, '!') || key.find(':') != std::string::npos ||
        !fit(value, ' ')) {
      throw UsageError(fmt::format("{} must be name=value,name=value with percent-encoded values.", name));
    }
    out.emplace_back(key, value);
  }
  return out;
}

}  // namespace

TraceOptions TraceOptions::from_environment(const std::string& endpoint, const std::string& service) {
  TraceOptions out;
  constexpr std::string_view kPath = "/v1/traces";
  std::string base = endpoint;
  if (base.empty()) {
    std::string disabled = variable("OTEL_SDK_DISABLED");
    std::transform(disabled.begin(), disabled.end(), disabled.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    if (disabled == "true") return out;
    out.url = variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");  // taken as it is
    base = variable("OTEL_EXPORTER_OTLP_ENDPOINT");
  }
  if (out.url.empty() && !base.empty()) {
    while (base.ends_with('/')) base.pop_back();
    out.url = base.ends_with(kPath) ? base : base + std::string(kPath);
  }
  if (out.url.empty()) return out;
  if (!out.url.starts_with("http://") && !out.url.starts_with("https://")) {
    throw UsageError(
        fmt::format("--otlp-endpoint or OTEL_EXPORTER_OTLP_ENDPOINT: \"{}\" is no address of a collector: it must "
                    "begin with http:// or https:// (OTLP over HTTP, port 4318 as a rule).",
                    out.url));
  }
  const std::string name = variable("OTEL_SERVICE_NAME");
  if (!service.empty() || !name.empty()) out.service = service.empty() ? name : service;
  const bool own = !variable("OTEL_EXPORTER_OTLP_TRACES_HEADERS").empty();
  out.headers = parse_headers(own ? "OTEL_EXPORTER_OTLP_TRACES_HEADERS" : "OTEL_EXPORTER_OTLP_HEADERS");
  read_milliseconds("OTEL_EXPORTER_OTLP_TIMEOUT", out.timeout_seconds);
  read_milliseconds("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", out.timeout_seconds);
  read_milliseconds("OTEL_BSP_SCHEDULE_DELAY", out.delay_seconds);
  read_number("OTEL_BSP_MAX_QUEUE_SIZE", 1, out.queue);
  read_number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 1, out.batch);
  out.batch = std::min(out.batch, out.queue);
  return out;
}

}  // namespace wde::server
