// Gzip for answers that are compressed beforehand.
#pragma once

#include <string>
#include <string_view>

namespace wde::server {

// Whether a client with this Accept-Encoding can read gzip.
bool accepts_gzip(std::string_view accept_encoding);

// The content of a gzip file of one member. Throws std::runtime_error: it is none.
std::string gunzip(std::string_view file);

}  // namespace wde::server
