#include "server/json/json_out.h"

#include <bit>
#include <charconv>
#include <cstring>

namespace wde::server {
namespace {

// The longest shortest float32 has 15 characters ("-1.17549435e-38"), a double 24.
constexpr size_t kDigits = 32;

template <class Number>
void append_number(std::string& out, Number value) {
  char digits[kDigits];
  out.append(digits, std::to_chars(digits, digits + kDigits, value).ptr);
}

// Length of the UTF-8 character at text[i], 0 if there is none (RFC 3629).
size_t character_length(std::string_view text, size_t i) {
  const auto byte = [&](size_t k) { return i + k < text.size() ? static_cast<uint8_t>(text[i + k]) : uint8_t{0}; };
  const auto follows = [&](size_t k) { return (byte(k) & 0xC0) == 0x80; };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return follows(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    const bool wrong = (lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xED && byte(1) >= 0xA0);
    return follows(1) && follows(2) && !wrong ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const bool wrong = (lead == 0xF0 && byte(1) < 0x90) || (lead == 0xF4 && byte(1) >= 0x90);
    return follows(1) && follows(2) && follows(3) && !wrong ? 4 : 0;
  }
  return 0;
}

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
  static constexpr char kHex[] = "0123456789abcdef";
  comma();
  out_ += '"';
  for (size_t i = 0; i < value.size();) {
    const size_t length = character_length(value, i);
    const char c = value[i];
    if (length == 0) {
      out_ += "\xEF\xBF\xBD";
    } else if (length > 1) {
      out_ += value.substr(i, length);
    } else if (c == '"' || c == '\\') {
      out_ += '\\';
      out_ += c;
    } else if (c == '\n') {
      out_ += "\\n";
    } else if (static_cast<uint8_t>(c) < 0x20) {
      out_ += "\\u00";
      out_ += kHex[static_cast<uint8_t>(c) >> 4];
      out_ += kHex[c & 15];
    } else {
      out_ += c;
    }
    i += length == 0 ? 1 : length;
  }
  out_ += '"';
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
