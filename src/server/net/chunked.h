// ChunkedDecoder: the body of a request with Transfer-Encoding: chunked, from pieces of any size. Strict where servers
// differ (line ends, sizes), because what two of them read differently can hide a request. Extensions and trailers are
// skipped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace wde::server {

class ChunkedDecoder {
 public:
  enum class Result { kMore, kDone, kBad, kTooLarge };
  explicit ChunkedDecoder(size_t max_body) : max_body_(max_body) {}

  // Appends the content of `data` to `body`; `taken` bytes belong to this body, the rest to the next request. Not to be
  // called again after anything but kMore.
  Result take(std::string_view data, size_t& taken, std::string& body);

 private:
  enum class State {
    kSize,       // hexadecimal digits, at least one
    kExtension,  // behind them, until the line's end
    kSizeEnd,    // its "\n"
    kData,
    kDataReturn,  // the "\r\n" behind the data
    kDataEnd,
    kTrailer,  // the beginning of a line behind the last chunk
    kTrailerLine,
    kTrailerEnd,
    kEnd,  // the "\n" of the empty line
  };

  bool step(char c);

  size_t max_body_;
  State state_ = State::kSize;
  uint64_t left_ = 0;    // of the chunk
  size_t digits_ = 0;    // of its size
  size_t overhead_ = 0;  // bytes of extensions and trailers
  bool done_ = false;
};

}  // namespace wde::server
