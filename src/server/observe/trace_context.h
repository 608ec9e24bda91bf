// TraceContext: which trace a request belongs to, by W3C's header traceparent.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace wde::server {

using TraceId = std::array<uint8_t, 16>;
using SpanId = std::array<uint8_t, 8>;

struct TraceContext {
  TraceId trace{};
  SpanId span{};
  bool sampled = false;

  std::string traceparent() const;
};

// nullopt: it is none, and W3C says that it is then as good as absent.
std::optional<TraceContext> parse_traceparent(std::string_view text);

std::string to_hex(const uint8_t* bytes, size_t count);
template <size_t N>
std::string to_hex(const std::array<uint8_t, N>& bytes) {
  return to_hex(bytes.data(), N);
}

}  // namespace wde::server
