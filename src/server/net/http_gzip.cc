#include "server/net/http_gzip.h"

#include <zlib.h>

#include <algorithm>
#include <memory>
#include <new>

namespace wde::server {
namespace {

constexpr int kGzip = 16;       // what zlib wants to have added to the window's bits
constexpr int kMostMemory = 9;  // likewise, for speed
constexpr size_t kFreeRatio = 1 << 20;
constexpr size_t kFirstPiece = 4 << 10;
constexpr size_t kSample = 16 << 10;

std::string_view trim_blanks(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t"), end = text.find_last_not_of(" \t");
  return begin == std::string_view::npos ? std::string_view() : text.substr(begin, end - begin + 1);
}

bool is_word(std::string_view a, std::string_view lower) {
  return std::equal(a.begin(), a.end(), lower.begin(), lower.end(),
                    [](char x, char y) { return (x >= 'A' && x <= 'Z' ? x + 32 : x) == y; });
}

// "q=0", "q=0.00"
bool is_refusal(std::string_view parameters) {
  for (size_t begin = 0; begin < parameters.size();) {
    const size_t end = std::min(parameters.find(';', begin), parameters.size());
    const std::string_view item = trim_blanks(parameters.substr(begin, end - begin));
    begin = end + 1;
    if (item.size() < 3 || !is_word(item.substr(0, 2), "q=")) continue;
    return item.find_first_not_of("0.", 2) == std::string_view::npos;
  }
  return false;
}

}  // namespace

bool accepts_gzip(std::string_view accept_encoding) {
  bool any = false;
  while (!accept_encoding.empty()) {
    const size_t comma = std::min(accept_encoding.find(','), accept_encoding.size());
    const std::string_view item = accept_encoding.substr(0, comma);
    accept_encoding.remove_prefix(std::min(comma + 1, accept_encoding.size()));
    const size_t semicolon = std::min(item.find(';'), item.size());
    const std::string_view coding = trim_blanks(item.substr(0, semicolon));
    const bool yes = !is_refusal(item.substr(std::min(semicolon + 1, item.size())));
    // The coding's own name counts more than "*".
    if (is_word(coding, "gzip") || is_word(coding, "x-gzip")) return yes;
    if (coding == "*") any = yes;
  }
  return any;
}

Gunzip gunzip(std::string_view file, size_t limit, std::string& out) {
  z_stream stream{};
  if (::inflateInit2(&stream, MAX_WBITS + kGzip) != Z_OK) throw std::bad_alloc();
  const std::unique_ptr<z_stream, int (*)(z_stream*)> ends_it(&stream, ::inflateEnd);
  const size_t by_ratio = std::max(kFreeRatio, kMaxRatio * file.size());
  const size_t most = std::min(limit, by_ratio);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(file.data()));
  stream.avail_in = static_cast<uInt>(file.size());
  out.clear();
  for (;;) {
    const size_t have = out.size();
    // A byte more than allowed tells that there is more.
    out.resize(std::min(most + 1, std::max<size_t>(2 * have, 4 * file.size() + kFirstPiece)));
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + have);
    stream.avail_out = static_cast<uInt>(out.size() - have);
    const int result = ::inflate(&stream, Z_NO_FLUSH);
    out.resize(out.size() - stream.avail_out);
    if (out.size() > most) return limit <= by_ratio ? Gunzip::kTooLarge : Gunzip::kBomb;
    if (result == Z_STREAM_END) {
      if (stream.avail_in == 0) return Gunzip::kDone;
      if (::inflateReset(&stream) != Z_OK) return Gunzip::kDamaged;
    } else if (result != Z_OK || (stream.avail_in == 0 && stream.avail_out > 0)) {
      return Gunzip::kDamaged;
    }
  }
}

std::optional<std::string> gzip(std::string_view text) {
  // Strings do not recur in numbers: it is their few digits that make them short.
  z_stream stream{};
  if (::deflateInit2(&stream, 1, Z_DEFLATED, MAX_WBITS + kGzip, kMostMemory, Z_HUFFMAN_ONLY) != Z_OK)
    return std::nullopt;
  const std::unique_ptr<z_stream, int (*)(z_stream*)> ends_it(&stream, ::deflateEnd);
  std::string out(::deflateBound(&stream, static_cast<uLong>(text.size())), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  // The beginning tells whether it is worth it: base64 becomes no shorter than three quarters.
  const size_t sample = std::min(text.size(), kSample);
  stream.avail_in = static_cast<uInt>(sample);
  if (::deflate(&stream, Z_BLOCK) != Z_OK || stream.total_out * 3 > sample * 2) return std::nullopt;
  stream.avail_in += static_cast<uInt>(text.size() - sample);
  if (::deflate(&stream, Z_FINISH) != Z_STREAM_END) return std::nullopt;
  out.resize(stream.total_out);
  return out;
}

}  // namespace wde::server
