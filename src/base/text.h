// Small functions of ASCII text that several folders need.
#pragma once

#include <string>
#include <string_view>

namespace wde {

// The ASCII letters in lower case; all other bytes stay.
inline std::string ascii_lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

}  // namespace wde
