#include "server/net/http.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <functional>

namespace wde::server {
namespace {

bool same_word(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
  });
}

}  // namespace

// Connections are counted from 1 on: none reaches the highest bit.
uint64_t flow_of(std::string_view name) { return std::hash<std::string_view>()(name) | uint64_t{1} << 63; }

void Cancellation::on_cancel(std::function<void()> action) {
  {
    std::scoped_lock lock(mutex_);
    if (!cancelled_) {
      action_ = std::move(action);
      return;
    }
  }
  if (action) action();
}

void Cancellation::cancel() {
  std::function<void()> action;
  {
    std::scoped_lock lock(mutex_);
    if (cancelled_) return;
    cancelled_ = true;
    action.swap(action_);
  }
  if (action) action();
}

bool Cancellation::cancelled() const {
  std::scoped_lock lock(mutex_);
  return cancelled_;
}

std::string_view HttpRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string_view status_text(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 301:
      return "Moved Permanently";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Entity";
    case 424:
      return "Failed Dependency";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 499:
      return "Client Closed Request";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Unknown";
  }
}

bool split_target(std::string_view target, std::string& path, std::string& query) {
  path.clear();
  query.clear();
  if (target == "*") {
    path = "*";
    return true;
  }
  for (std::string_view scheme : {"http://", "https://"}) {
    if (target.size() < scheme.size() || !same_word(target.substr(0, scheme.size()), scheme)) continue;
    target.remove_prefix(scheme.size());
    const size_t slash = std::min(target.find_first_of("/?"), target.size());
    target.remove_prefix(slash);
    if (target.empty() || target[0] == '?') path = "/";
    break;
  }
  const size_t mark = std::min(target.find_first_of("?#"), target.size());
  if (mark < target.size() && target[mark] == '?') query = target.substr(mark + 1);
  target = target.substr(0, mark);
  if (path.empty() && (target.empty() || target[0] != '/')) return false;
  for (size_t i = 0; i < target.size(); ++i) {
    if (target[i] != '%') {
      path += target[i];
      continue;
    }
    if (i + 2 >= target.size()) return false;
    const int high = hex_digit(target[i + 1]);
    const int low = hex_digit(target[i + 2]);
    if (high < 0 || low < 0 || high * 16 + low < 0x20) return false;
    path += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return true;
}

std::string framing_problem(int version, const Headers& headers) {
  size_t lengths = 0, encodings = 0, hosts = 0;
  for (const auto& [name, value] : headers) {
    if (name == "content-length") {
      ++lengths;
      const bool digits = std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; });
      if (value.empty() || value.size() > 18 || !digits) return "Content-Length is not a plain number";
    } else if (name == "transfer-encoding") {
      ++encodings;
      if (!same_word(value, "chunked")) return "the only Transfer-Encoding that is understood is chunked";
    } else if (name == "host") {
      ++hosts;
    } else if (name.empty() || name.find(' ') != std::string::npos) {
      return "a header has no proper name";
    }
  }
  if (lengths > 1) return "there is more than one Content-Length";
  if (encodings > 1) return "there is more than one Transfer-Encoding";
  if (lengths > 0 && encodings > 0) return "there are both a Content-Length and a Transfer-Encoding";
  if (encodings > 0 && version < 11) return "HTTP/1.0 knows no Transfer-Encoding";
  if (hosts > 1) return "there is more than one Host";
  if (hosts == 0 && version >= 11) return "HTTP/1.1 demands a Host";
  return "";
}

}  // namespace wde::server
