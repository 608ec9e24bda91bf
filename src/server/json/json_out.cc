#include "server/json/json_out.h"

#include <bit>
#include <charconv>

#include "base/json_text.h"

namespace wde::server {
namespace {

// Nine digits at most and no copy: room is made once for the whole row.
template <class Number>
void append_row(std::string& out, std::span<const Number> values) {
  const size_t start = out.size();
  out.resize(start + 2 + values.size() * 17);
  char* at = out.data() + start;
  *at++ = '[';
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) *at++ = ',';
    at = std::to_chars(at, at + 16, values[i]).ptr;
  }
  *at++ = ']';
  out.resize(static_cast<size_t>(at - out.data()));
}

}  // namespace

void JsonOut::comma() {
  if (!first_) out_ += ',';
  first_ = false;
}

JsonOut& JsonOut::open(char bracket) {
  comma();
  out_ += bracket;
  first_ = true;
  return *this;
}

JsonOut& JsonOut::close(char bracket) {
  out_ += bracket;
  first_ = false;
  return *this;
}

JsonOut& JsonOut::key(std::string_view name) {
  text(name);
  out_ += ':';
  first_ = true;
  return *this;
}

JsonOut& JsonOut::text(std::string_view value) {
  comma();
  append_json_string(out_, value);
  return *this;
}

JsonOut& JsonOut::integer(int64_t value) {
  comma();
  append_number(out_, value);
  return *this;
}

JsonOut& JsonOut::boolean(bool value) { return raw(value ? "true" : "false"); }
JsonOut& JsonOut::null() { return raw("null"); }

JsonOut& JsonOut::number(float value) {
  comma();
  append_number(out_, value);
  return *this;
}

JsonOut& JsonOut::number(double value) {
  comma();
  append_number(out_, value);
  return *this;
}

JsonOut& JsonOut::floats(std::span<const float> values) {
  comma();
  append_row(out_, values);
  return *this;
}

JsonOut& JsonOut::integers(std::span<const int32_t> values) {
  comma();
  append_row(out_, values);
  return *this;
}

JsonOut& JsonOut::rows(std::span<const float> values, size_t columns) {
  open('[');
  for (size_t at = 0; columns > 0 && at + columns <= values.size(); at += columns) floats(values.subspan(at, columns));
  return close(']');
}

JsonOut& JsonOut::plain(std::string_view value) {
  comma();
  out_ += '"';
  out_ += value;
  out_ += '"';
  return *this;
}

JsonOut& JsonOut::raw(std::string_view json) {
  comma();
  out_ += json;
  return *this;
}

std::string base64(std::span<const uint8_t> bytes) {
  static constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out((bytes.size() + 2) / 3 * 4, '=');
  size_t at = 0;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t left = bytes.size() - i;
    const uint32_t group = static_cast<uint32_t>(bytes[i]) << 16 |
                           (left > 1 ? static_cast<uint32_t>(bytes[i + 1]) << 8 : 0) | (left > 2 ? bytes[i + 2] : 0);
    out[at] = kAlphabet[group >> 18];
    out[at + 1] = kAlphabet[group >> 12 & 63];
    if (left > 1) out[at + 2] = kAlphabet[group >> 6 & 63];
    if (left > 2) out[at + 3] = kAlphabet[group & 63];
    at += 4;
  }
  return out;
}

std::string base64(std::span<const float> values) {
  static_assert(std::endian::native == std::endian::little);
  return base64(std::span(reinterpret_cast<const uint8_t*>(values.data()), values.size_bytes()));
}

}  // namespace wde::server
