// Gzip: for bodies that clients compressed, and for answers.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace wde::server {

// Whether a client with this Accept-Encoding can read gzip.
bool accepts_gzip(std::string_view accept_encoding);

// How many times its own size a file may become, where that is more than a mebibyte: what grows more is made to hurt.
constexpr size_t kMaxRatio = 200;

enum class Gunzip {
  kDone,
  kDamaged,   // no gzip file, or not all of one
  kTooLarge,  // its content has more bytes than `limit`
  kBomb,      // it grows by more than kMaxRatio
};
// The content of a gzip file, of one member or several, into `out`.
Gunzip gunzip(std::string_view file, size_t limit, std::string& out);

// Numbers in JSON to less than half their size, at the speed of memory rather than as small as can be. Nothing where it
// is not worth it.
std::optional<std::string> gzip(std::string_view text);

}  // namespace wde::server
