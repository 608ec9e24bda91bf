#include "server/serving/admission.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace wde::server {
namespace {

constexpr double kMeasureSeconds = 1.0;  // of work before the rate is taken anew
constexpr double kWeightOfNew = 0.3;
constexpr double kMaxRetrySeconds = 60;
// Of the time that is left, so much may be spoken for: estimates are not exact, and what comes later takes a share too.
constexpr double kUsableTime = 0.7;
// Tokens that one request has in the engine at a time (Group), and with which it is before all that come.
constexpr size_t kWindowTokens = 32 << 10;
// By so much the estimate must be above the time that is left before a request is refused that nothing else delays.
constexpr double kHopeless = 1.5;

void add(QueueShare& to, const QueueShare& share) {
  to.requests += share.requests;
  to.tokens += share.tokens;
  to.bytes += share.bytes;
  to.answer_bytes += share.answer_bytes;
}

void take(QueueShare& from, const QueueShare& share) {
  from.requests -= share.requests;
  from.tokens -= share.tokens;
  from.bytes -= share.bytes;
  from.answer_bytes -= share.answer_bytes;
}

int retry_after(double seconds) { return static_cast<int>(std::clamp(std::ceil(seconds), 1.0, kMaxRetrySeconds)); }

constexpr double in_megabytes(size_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

}  // namespace

// Until a request would be done, but for its own work. All are worked on side by side, so a short one does not wait for
// all of a long one; and the long one counts until it is done, since those that come take from what it gets.
double Admission::seconds_before(const Demand& demand) const {
  double seconds = 0;
  for (const Ticket* ticket : tickets_) {
    const Demand& other = ticket->demand_;
    const size_t tokens = std::min(other.tokens, std::max(demand.tokens, kWindowTokens));
    seconds += pace_.seconds(other.kind, tokens, other.guess);
  }
  return seconds;
}

// Throws what speaks against it.
void Admission::check(const Demand& demand, const QueueShare& share) const {
  const QueueShare& all = use_.all;
  if (demand.answer_bytes > limits_.answer_bytes) {
    throw ApiError(
        Fault::kTooLarge,
        fmt::format("the answer would take about {:.0f} MiB of memory, and the limit is {:.0f} MiB: send fewer "
                    "texts at a time (--max-answer-bytes)",
                    in_megabytes(demand.answer_bytes), in_megabytes(limits_.answer_bytes)));
  }
  const double own = pace_.seconds(demand.kind, demand.tokens, demand.guess);
  const double waiting = seconds_before(demand);
  const double time = demand.deadline ? std::chrono::duration<double>(*demand.deadline - Clock::now()).count()
                                      : std::numeric_limits<double>::infinity();
  const double least = pace_.least_seconds(demand.kind, demand.tokens, demand.guess);
  if (pace_.measured(demand.kind) && least > kHopeless * time) {
    throw ApiError(Fault::kTooLarge,
                   fmt::format("this would take about {:.0f} s, and its deadline is in {:.0f} s: send fewer texts at a "
                               "time, or allow more time (X-Request-Timeout-Ms, --request-timeout)",
                               least, std::max(0.0, time)));
  }
  if (all.requests == 0) return;  // larger than the whole queue, it may be done alone
  if (all.requests >= limits_.requests || all.tokens + share.tokens > limits_.tokens ||
      all.bytes + demand.bytes > limits_.bytes || all.answer_bytes + demand.answer_bytes > limits_.answer_bytes) {
    throw ApiError(
        Fault::kOverloaded,
        fmt::format("the queue is full ({} requests, about {} tokens): the model is overloaded, try again later",
                    all.requests, all.tokens),
        {}, retry_after(waiting));
  }
  if (waiting + own <= kUsableTime * time) return;
  throw ApiError(Fault::kOverloaded,
                 fmt::format("{} requests are before this one and take about {:.1f} s, this one {:.1f} s, and its "
                             "deadline is in {:.1f} s: the model is overloaded, try again later",
                             all.requests, waiting, own, std::max(0.0, time)),
                 {}, retry_after(waiting + own - kUsableTime * time));
}

std::unique_ptr<Admission::Ticket> Admission::enter(const std::string& model, const Demand& demand) {
  std::scoped_lock lock(mutex_);
  // However large it is, there is some room for others.
  const QueueShare share{1, std::min(demand.tokens, limits_.tokens / 4 * 3), demand.bytes, demand.answer_bytes};
  check(demand, share);
  const Clock::time_point now = Clock::now();
  if (use_.all.requests == 0) {
    measured_since_ = now;
    measured_tokens_ = 0;
  }
  QueueShare& of_model = use_.by_model[model];
  auto ticket = std::make_unique<Ticket>(*this, of_model, demand, share);
  tickets_.insert(ticket.get());
  add(use_.all, share);
  add(of_model, share);
  pace_.enter(demand.kind, demand.tokens, demand.guess, now);
  return ticket;
}

void Admission::done(Ticket& ticket, size_t tokens) {
  std::scoped_lock lock(mutex_);
  tokens = std::min(tokens, ticket.left_);
  ticket.left_ -= tokens;
  pace_.done(ticket.demand_.kind, tokens, Clock::now());
}

void Admission::leave(Ticket& ticket) {
  std::scoped_lock lock(mutex_);
  const Clock::time_point now = Clock::now();
  take(use_.all, ticket.share_);
  take(ticket.model_, ticket.share_);
  tickets_.erase(&ticket);
  pace_.leave(ticket.left_, now);
  measured_tokens_ += ticket.share_.tokens;
  const double seconds = std::chrono::duration<double>(now - measured_since_).count();
  if (seconds < kMeasureSeconds && use_.tokens_per_second > 0) return;
  const double rate = static_cast<double>(measured_tokens_) / std::max(seconds, 1e-3);
  use_.tokens_per_second =
      use_.tokens_per_second > 0 ? (1 - kWeightOfNew) * use_.tokens_per_second + kWeightOfNew * rate : rate;
  measured_since_ = now;
  measured_tokens_ = 0;
}

QueueUse Admission::use() const {
  std::scoped_lock lock(mutex_);
  return use_;
}

}  // namespace wde::server
