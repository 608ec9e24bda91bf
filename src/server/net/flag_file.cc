#include "server/net/flag_file.h"

#include <fmt/format.h>

#include "base/regular_file.h"
#include "wde/result.h"

namespace wde::server {

std::string read_flag_file(std::string_view flag, const std::string& file, size_t most_bytes) {
  try {
    return read_regular_file(file, most_bytes);
  } catch (const LoadError& error) {
    throw UsageError(fmt::format("{} {}", flag, error.what()));
  }
}

}  // namespace wde::server
