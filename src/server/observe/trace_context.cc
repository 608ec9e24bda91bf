#include "server/observe/trace_context.h"

#include <algorithm>

namespace wde::server {
namespace {

int lower_hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool read_hex(std::string_view text, uint8_t* out, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    const int high = lower_hex_digit(text[2 * i]), low = lower_hex_digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    out[i] = static_cast<uint8_t>(high * 16 + low);
  }
  return true;
}

template <size_t N>
bool is_zero(const std::array<uint8_t, N>& bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0; });
}

}  // namespace

std::string to_hex(const uint8_t* bytes, size_t count) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(2 * count);
  for (size_t i = 0; i < count; ++i) {
    out += kDigits[bytes[i] >> 4];
    out += kDigits[bytes[i] & 15];
  }
  return out;
}

std::string TraceContext::traceparent() const {
  return "00-" + to_hex(trace) + "-" + to_hex(span) + (sampled ? "-01" : "-00");
}

std::optional<TraceContext> parse_traceparent(std::string_view text) {
  constexpr size_t kLength = 55;  // version 00; later ones may add to it behind a dash
  if (text.size() < kLength || text[2] != '-' || text[35] != '-' || text[52] != '-') return std::nullopt;
  uint8_t version = 0, flags = 0;
  TraceContext out;
  if (!read_hex(text, &version, 1) || version == 0xFF) return std::nullopt;
  if (version == 0 ? text.size() != kLength : text.size() > kLength && text[kLength] != '-') return std::nullopt;
  if (!read_hex(text.substr(3), out.trace.data(), out.trace.size()) || is_zero(out.trace)) return std::nullopt;
  if (!read_hex(text.substr(36), out.span.data(), out.span.size()) || is_zero(out.span)) return std::nullopt;
  if (!read_hex(text.substr(53), &flags, 1)) return std::nullopt;
  out.sampled = (flags & 1) != 0;
  return out;
}

}  // namespace wde::server
