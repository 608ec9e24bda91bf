#include "server/net/http_gzip.h"

#include <algorithm>
#include <boost/beast/zlib/inflate_stream.hpp>
#include <stdexcept>

namespace wde::server {
namespace {

namespace zlib = boost::beast::zlib;

constexpr size_t kHeader = 10, kTrailer = 8;

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

std::string gunzip(std::string_view file) {
  // Written with `gzip --no-name`: no optional fields in the header.
  const auto byte = [&](size_t at) { return static_cast<unsigned char>(file[at]); };
  if (file.size() < kHeader + kTrailer || byte(0) != 0x1F || byte(1) != 0x8B || byte(2) != 8 || byte(3) != 0) {
    throw std::runtime_error("this is no gzip file without a name");
  }
  size_t size = 0;
  for (size_t i = 0; i < 4; ++i) size |= static_cast<size_t>(byte(file.size() - 4 + i)) << (8 * i);
  std::string out(size, '\0');
  zlib::inflate_stream inflater;
  zlib::z_params params;
  params.next_in = file.data() + kHeader;
  params.avail_in = file.size() - kHeader - kTrailer;
  params.next_out = out.data();
  params.avail_out = out.size();
  boost::beast::error_code error;
  inflater.write(params, zlib::Flush::finish, error);
  if (error != zlib::error::end_of_stream || params.total_out != size) {
    throw std::runtime_error("this gzip file is damaged");
  }
  return out;
}

}  // namespace wde::server
