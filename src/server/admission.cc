#include "server/admission.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace wde::server {
namespace {

constexpr double kMeasureSeconds = 1.0;  // of work before the rate is taken anew
constexpr double kWeightOfNew = 0.3;
constexpr double kMaxRetrySeconds = 60;

}  // namespace

std::unique_ptr<Admission::Ticket> Admission::enter(size_t tokens, size_t bytes) {
  std::scoped_lock lock(mutex_);
  // A request that is larger than the whole queue is let in when there is nothing else.
  const bool fits = use_.requests == 0 || (use_.requests < limits_.requests && use_.tokens + tokens <= limits_.tokens &&
                                           use_.bytes + bytes <= limits_.bytes);
  if (!fits) {
    throw ApiError(
        Fault::kOverloaded,
        fmt::format("the queue is full ({} requests, about {} tokens): the model is overloaded, try again later",
                    use_.requests, use_.tokens),
        {}, retry_seconds());
  }
  if (use_.requests == 0) {
    measured_since_ = Clock::now();
    measured_tokens_ = 0;
  }
  ++use_.requests;
  use_.tokens += tokens;
  use_.bytes += bytes;
  return std::make_unique<Ticket>(*this, tokens, bytes);
}

void Admission::leave(size_t tokens, size_t bytes) {
  std::scoped_lock lock(mutex_);
  --use_.requests;
  use_.tokens -= tokens;
  use_.bytes -= bytes;
  measured_tokens_ += tokens;
  const Clock::time_point now = Clock::now();
  const double seconds = std::chrono::duration<double>(now - measured_since_).count();
  if (seconds < kMeasureSeconds && use_.tokens_per_second > 0) return;
  const double rate = static_cast<double>(measured_tokens_) / std::max(seconds, 1e-3);
  use_.tokens_per_second =
      use_.tokens_per_second > 0 ? (1 - kWeightOfNew) * use_.tokens_per_second + kWeightOfNew * rate : rate;
  measured_since_ = now;
  measured_tokens_ = 0;
}

int Admission::retry_seconds() const {
  if (use_.tokens_per_second <= 0) return 1;
  const double seconds = static_cast<double>(use_.tokens) / use_.tokens_per_second;
  return static_cast<int>(std::clamp(std::ceil(seconds), 1.0, kMaxRetrySeconds));
}

QueueUse Admission::use() const {
  std::scoped_lock lock(mutex_);
  return use_;
}

}  // namespace wde::server
