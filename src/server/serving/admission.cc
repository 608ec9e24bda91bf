#include "server/serving/admission.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace wde::server {
namespace {

constexpr double kMeasureSeconds = 1.0;  // of work before the rate is taken anew
constexpr double kWeightOfNew = 0.3;
constexpr double kMaxRetrySeconds = 60;

void add(QueueShare& to, const QueueShare& share) {
  to.requests += share.requests;
  to.tokens += share.tokens;
  to.bytes += share.bytes;
}

void take(QueueShare& from, const QueueShare& share) {
  from.requests -= share.requests;
  from.tokens -= share.tokens;
  from.bytes -= share.bytes;
}

}  // namespace

std::unique_ptr<Admission::Ticket> Admission::enter(const std::string& model, size_t tokens, size_t bytes) {
  std::scoped_lock lock(mutex_);
  const QueueShare& all = use_.all;
  // A request that is larger than the whole queue is let in when there is nothing else.
  const bool fits = all.requests == 0 || (all.requests < limits_.requests && all.tokens + tokens <= limits_.tokens &&
                                          all.bytes + bytes <= limits_.bytes);
  if (!fits) {
    throw ApiError(
        Fault::kOverloaded,
        fmt::format("the queue is full ({} requests, about {} tokens): the model is overloaded, try again later",
                    all.requests, all.tokens),
        {}, retry_seconds());
  }
  if (all.requests == 0) {
    measured_since_ = Clock::now();
    measured_tokens_ = 0;
  }
  const QueueShare share{1, tokens, bytes};
  QueueShare& of_model = use_.by_model[model];
  auto ticket = std::make_unique<Ticket>(*this, of_model, share);
  add(use_.all, share);
  add(of_model, share);
  return ticket;
}

void Admission::leave(QueueShare& model, const QueueShare& share) {
  std::scoped_lock lock(mutex_);
  take(use_.all, share);
  take(model, share);
  measured_tokens_ += share.tokens;
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
  const double seconds = static_cast<double>(use_.all.tokens) / use_.tokens_per_second;
  return static_cast<int>(std::clamp(std::ceil(seconds), 1.0, kMaxRetrySeconds));
}

QueueUse Admission::use() const {
  std::scoped_lock lock(mutex_);
  return use_;
}

}  // namespace wde::server
