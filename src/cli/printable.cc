#include "cli/printable.h"

#include <cstdint>

#include "base/json_text.h"

namespace wde::cli {

std::string printable(std::string_view text) {
  constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const size_t length = utf8_length(text, i);
    const bool is_control = length == 1 && (static_cast<uint8_t>(text[i]) < 0x20 || text[i] == 0x7F);
    if (length == 0 || (is_control && text[i] != '\n')) {
      out += kReplacement;
    } else {
      out += is_control ? std::string_view(" ") : text.substr(i, length);
    }
    i += length == 0 ? 1 : length;
  }
  return out;
}

}  // namespace wde::cli
