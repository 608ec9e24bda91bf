#include "server/net/chunked.h"

#include <algorithm>

#include "server/net/http.h"

namespace wde::server {
namespace {

constexpr size_t kMaxDigits = 15;
constexpr size_t kMaxOverhead = 8 << 10;

bool is_text(char c) { return static_cast<unsigned char>(c) >= 0x20 || c == '\t'; }

}  // namespace

// A byte of what is not data. False: it does not belong there.
bool ChunkedDecoder::step(char c) {
  const auto become = [&](bool fits, State next) {
    state_ = next;
    return fits;
  };
  switch (state_) {
    case State::kSize:
      if (const int digit = hex_digit(c); digit >= 0) {
        left_ = left_ * 16 + static_cast<uint64_t>(digit);
        return ++digits_ <= kMaxDigits;
      }
      if (digits_ == 0) return false;
      if (c == ';') return become(true, State::kExtension);
      return become(c == '\r', State::kSizeEnd);
    case State::kExtension:
      if (c == '\r') return become(true, State::kSizeEnd);
      return is_text(c) && ++overhead_ <= kMaxOverhead;
    case State::kSizeEnd:
      digits_ = 0;
      return become(c == '\n', left_ > 0 ? State::kData : State::kTrailer);
    case State::kDataReturn:
      return become(c == '\r', State::kDataEnd);
    case State::kDataEnd:
      return become(c == '\n', State::kSize);
    case State::kTrailer:
      if (c == '\r') return become(true, State::kEnd);
      state_ = State::kTrailerLine;
      [[fallthrough]];
    case State::kTrailerLine:
      if (c == '\r') return become(true, State::kTrailerEnd);
      return is_text(c) && ++overhead_ <= kMaxOverhead;
    case State::kTrailerEnd:
      return become(c == '\n', State::kTrailer);
    case State::kEnd:
      done_ = true;
      return c == '\n';
    case State::kData:
      break;
  }
  return false;
}

ChunkedDecoder::Result ChunkedDecoder::take(std::string_view data, size_t& taken, std::string& body) {
  taken = 0;
  while (taken < data.size()) {
    if (state_ != State::kData) {
      if (!step(data[taken++])) return Result::kBad;
      if (done_) return Result::kDone;
      if (state_ == State::kData && left_ > max_body_ - std::min(max_body_, body.size())) return Result::kTooLarge;
      continue;
    }
    const size_t n = static_cast<size_t>(std::min<uint64_t>(left_, data.size() - taken));
    body.append(data.substr(taken, n));
    taken += n;
    left_ -= n;
    if (left_ == 0) state_ = State::kDataReturn;
  }
  return Result::kMore;
}

}  // namespace wde::server
