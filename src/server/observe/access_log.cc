#include "server/observe/access_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>

#include "server/json/json_out.h"

namespace wde::server {
namespace {

constexpr size_t kMaxValue = 512;

// At most `limit` bytes, and no half character.
std::string_view shortened(std::string_view text, size_t limit) {
  if (text.size() <= limit) return text;
  while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xC0) == 0x80) --limit;
  return text.substr(0, limit);
}

std::string event_line(LogFormat format, std::string_view sentence) {
  if (format != LogFormat::kJson) {
    std::string text(sentence);
    std::replace_if(
        text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; }, ' ');
    return fmt::format("wde serve: {}\n", text);
  }
  JsonOut out;
  out.open('{').key("time").text(utc_time()).key("level").plain("info").key("message").text(sentence).close('}');
  return out.take() + "\n";
}

// What makes error lines equal: their status and sentence, but for its numbers.
std::string kind_of(const AccessEntry& entry) {
  std::string out = fmt::format("{} ", entry.status);
  for (char c : shortened(entry.error, 120)) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit || !out.ends_with('#')) out += digit ? '#' : c;
  }
  return out;
}

bool ends_line(unsigned char c, unsigned char next) {
  return c < 0x20 || c == 0x7F || (c == 0xC2 && next >= 0x80 && next < 0xA0);  // C0 and C1 controls
}

}  // namespace

std::string log_value(std::string_view text) {
  text = shortened(text, kMaxValue);
  const auto plain = [](char c) { return c > 0x20 && c < 0x7F && c != '"' && c != '\\' && c != '='; };
  if (!text.empty() && std::all_of(text.begin(), text.end(), plain)) return std::string(text);
  JsonOut out;
  out.text(text);
  const std::string quoted = out.take();
  // JSON leaves DEL and the controls from U+0080 on as they are, which terminals may obey.
  std::string shown;
  for (size_t i = 0; i < quoted.size(); ++i) {
    const auto c = static_cast<unsigned char>(quoted[i]);
    const auto next = static_cast<unsigned char>(i + 1 < quoted.size() ? quoted[i + 1] : 0);
    if (!ends_line(c, next)) {
      shown += quoted[i];
      continue;
    }
    shown += fmt::format("\\u{:04x}", c == 0xC2 ? next : c);
    if (c == 0xC2) ++i;
  }
  return shown;
}

std::string log_path(std::string_view path) {
  std::string out;
  for (char c : path.substr(0, kMaxValue)) {
    const bool plain = c > 0x20 && c < 0x7F && c != '"' && c != '\\' && c != '%';
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out.empty() ? "-" : out;
}

std::string utc_time() {
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  const auto milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  const size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  return fmt::format("{}.{:03}Z", std::string_view(text, length), milliseconds);
}

AccessLog::AccessLog(LogFormat format)
    : format_(format),
      writer_({[format](uint64_t lines) {
                 return event_line(format,
                                   fmt::format("{} lines of the log were dropped: standard error took no more", lines));
               },
               [this](bool last) { return left_out_lines(last); }}) {}

std::string AccessLog::left_out_lines(bool last) {
  std::string out;
  for (const Repeats::LeftOut& one : repeats_.take_left_out(std::chrono::steady_clock::now(), last)) {
    out += event_line(format_, fmt::format("left out {} more lines like: {}", one.lines, log_value(one.kind)));
  }
  return out;
}

void AccessLog::write(const AccessEntry& e) {
  if (format_ == LogFormat::kOff) return;
  if (e.status >= 400 && !repeats_.allow(kind_of(e), std::chrono::steady_clock::now())) return;
  const double milliseconds = std::round(e.seconds * 1e6) / 1e3;  // whole microseconds, without a double's 17 digits
  if (format_ == LogFormat::kText) {
    std::string text = fmt::format("{} {} {} {} {} {:.1f} ms", utc_time(), e.remote.empty() ? "-" : e.remote,
                                   log_path(e.method), log_path(e.path), e.status, milliseconds);
    if (e.inputs > 0) text += fmt::format(" model={} inputs={} tokens={}", log_value(e.model), e.inputs, e.tokens);
    if (!e.request_id.empty()) text += fmt::format(" id={}", log_value(e.request_id));
    if (!e.traceparent.empty()) text += fmt::format(" trace={}", log_value(e.traceparent));
    if (!e.error.empty()) text += fmt::format(" error={}", log_value(e.error));
    return writer_.line(text + "\n");
  }
  JsonOut out;
  out.open('{').key("time").text(utc_time()).key("level").plain(e.status >= 500 ? "error" : "info");
  out.key("remote").text(e.remote).key("method").text(e.method).key("path").text(e.path).key("status").integer(
      e.status);
  out.key("duration_ms").number(milliseconds).key("request_id").text(e.request_id);
  out.key("bytes_in").integer(static_cast<int64_t>(e.bytes_in));
  out.key("bytes_out").integer(static_cast<int64_t>(e.bytes_out));
  if (e.inputs > 0) {
    out.key("model").text(e.model).key("inputs").integer(static_cast<int64_t>(e.inputs));
    out.key("tokens").integer(static_cast<int64_t>(e.tokens));
  }
  if (!e.traceparent.empty()) out.key("traceparent").text(e.traceparent);
  if (!e.error.empty()) out.key("error").text(e.error);
  out.close('}');
  writer_.line(out.take() + "\n");
}

void AccessLog::event(std::string_view sentence) { writer_.line(event_line(format_, sentence)); }

}  // namespace wde::server
