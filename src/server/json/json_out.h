// JsonOut: writes JSON from front to back into one string; base64 besides. Fast where answers are long: rows of floats.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace wde::server {

class JsonOut {
 public:
  JsonOut() = default;
  explicit JsonOut(size_t expected_bytes) { out_.reserve(expected_bytes); }

  JsonOut& open(char bracket);   // '{' or '['
  JsonOut& close(char bracket);  // '}' or ']'
  JsonOut& key(std::string_view name);
  // Bytes that are not UTF-8 become U+FFFD.
  JsonOut& text(std::string_view value);
  JsonOut& integer(int64_t value);
  JsonOut& boolean(bool value);
  JsonOut& null();
  // Shortest decimal that reads back as the same value; must be finite.
  JsonOut& number(float value);
  JsonOut& number(double value);
  JsonOut& floats(std::span<const float> values);
  JsonOut& integers(std::span<const int32_t> values);
  // Rows of a matrix as an array of arrays.
  JsonOut& rows(std::span<const float> values, size_t columns);
  // A string that needs no escapes.
  JsonOut& plain(std::string_view value);
  // JSON that is made already.
  JsonOut& raw(std::string_view json);

  std::string take() { return std::move(out_); }
  const std::string& view() const { return out_; }

 private:
  void comma();

  std::string out_;
  bool first_ = true;
};

std::string base64(std::span<const uint8_t> bytes);
// Little-endian float32.
std::string base64(std::span<const float> values);

}  // namespace wde::server
