// Writing JSON by hand, because the rows are long and flat; and making any bytes fit to be shown.
#pragma once

#include <charconv>
#include <string>
#include <string_view>

namespace wde::cli {

// With its quotes. Bytes that are not UTF-8 become U+FFFD, so that the line stays JSON whatever happens.
void append_json_string(std::string& out, std::string_view text);

// For a terminal: no control characters (but "\n" is a space), no invalid UTF-8.
std::string printable(std::string_view text);

// Shortest decimal that reads back as the same value; floats must be finite.
template <class Number>
void append_number(std::string& out, Number value) {
  char digits[40];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(digits, end);
}

}  // namespace wde::cli
