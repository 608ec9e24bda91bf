// Making any bytes fit to be shown.
#pragma once

#include <string>
#include <string_view>

namespace wde::cli {

// For a terminal: no control characters (but "\n" is a space), no invalid UTF-8.
std::string printable(std::string_view text);

}  // namespace wde::cli
