// Strings and numbers as JSON, appended to a string: what the server's answers and the command line's rows are made of.
#pragma once

#include <charconv>
#include <cstddef>
#include <string>
#include <string_view>

namespace wde {

// Length of the UTF-8 character that begins at text[at], 0 if there is none (RFC 3629: no overlongs, no surrogates).
size_t utf8_length(std::string_view text, size_t at);

// With its quotes. Bytes that are not UTF-8 become U+FFFD, so that the line stays JSON whatever happens.
void append_json_string(std::string& out, std::string_view text);

// Shortest decimal that reads back as the same value; floats must be finite.
template <class Number>
void append_number(std::string& out, Number value) {
  char digits[40];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(digits, end);
}

}  // namespace wde
