#include "server/observe/access_log.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <ctime>
#include <utility>

#include "server/json/json_out.h"

namespace wde::server {
namespace {

// A client's bytes cannot make a second line, or colours.
std::string printable(std::string_view text) {
  std::string out;
  for (char c : text.substr(0, 512)) out += static_cast<unsigned char>(c) < 0x21 || c == 0x7F ? '?' : c;
  return out;
}

constexpr size_t kMaxWaitingBytes = 4 << 20;

void write_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(STDERR_FILENO, text.data(), text.size());
    if (n <= 0) return;
    text.remove_prefix(static_cast<size_t>(n));
  }
}

}  // namespace

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

AccessLog::AccessLog(LogFormat format) : format_(format) {
  thread_.start("wde-log", [this] { run(); });
}

AccessLog::~AccessLog() {
  {
    std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void AccessLog::line(std::string text) {
  {
    std::scoped_lock lock(mutex_);
    if (waiting_.size() + text.size() > kMaxWaitingBytes) {
      ++dropped_;
      return;
    }
    waiting_ += text;
  }
  wake_.notify_one();
}

void AccessLog::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    std::string text;
    text.swap(waiting_);
    if (const size_t lost = std::exchange(dropped_, 0); lost > 0) {
      text += fmt::format("wde serve: {} lines of the log were dropped, because nobody read them\n", lost);
    }
    lock.unlock();
    write_all(text);
    lock.lock();
  }
}

void AccessLog::write(const AccessEntry& e) {
  if (format_ == LogFormat::kOff) return;
  const double milliseconds = std::round(e.seconds * 1e6) / 1e3;  // whole microseconds, without a double's 17 digits
  if (format_ == LogFormat::kText) {
    std::string text = fmt::format("{} {} {} {} {} {:.1f} ms", utc_time(), e.remote, printable(e.method),
                                   printable(e.path), e.status, milliseconds);
    if (e.inputs > 0) text += fmt::format(" model={} inputs={} tokens={}", printable(e.model), e.inputs, e.tokens);
    text += fmt::format(" id={}", e.request_id);
    if (!e.traceparent.empty()) text += fmt::format(" trace={}", e.traceparent);
    if (!e.error.empty()) text += fmt::format(" error=\"{}\"", e.error.substr(0, 200));
    for (char& c : text) {
      if (static_cast<unsigned char>(c) < 0x20) c = ' ';
    }
    return line(text + "\n");
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
  line(out.take() + "\n");
}

void AccessLog::event(std::string_view sentence) {
  if (format_ != LogFormat::kJson) return line(fmt::format("wde serve: {}\n", sentence));
  JsonOut out;
  out.open('{').key("time").text(utc_time()).key("level").plain("info").key("message").text(sentence).close('}');
  line(out.take() + "\n");
}

}  // namespace wde::server
