// The files that flags of the server name: keys and certificates.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace wde::server {

constexpr size_t kMaxPemBytes = size_t{4} << 20;

// Throws UsageError, which begins with the flag's name, for what is no regular file, cannot be read or is larger.
std::string read_flag_file(std::string_view flag, const std::string& file, size_t most_bytes);

}  // namespace wde::server
