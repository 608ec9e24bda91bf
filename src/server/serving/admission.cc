#include "server/serving/admission.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace wde::server {
namespace {

constexpr double kMeasureSeconds = 1.0;  // of work before the rate is taken anew
constexpr double kWeightOfNew = 0.3;
constexpr double kMaxRetrySeconds = 60;
// By so much its own work must be above the time that is left before a request is refused that nothing else delays.
constexpr double kHopeless = 1.5;
// Of each limit so much is kept for flows that have no more than so much of it themselves.
constexpr size_t kKeptPart = 8, kLittlePart = 16;

constexpr std::array kResources{&QueueShare::requests, &QueueShare::tokens, &QueueShare::bytes,
                                &QueueShare::answer_bytes};

void add(QueueShare& to, const QueueShare& share) {
  for (const auto resource : kResources) to.*resource += share.*resource;
}

void take(QueueShare& from, const QueueShare& share) {
  for (const auto resource : kResources) from.*resource -= share.*resource;
}

int retry_after(double seconds) { return static_cast<int>(std::clamp(std::ceil(seconds), 1.0, kMaxRetrySeconds)); }

// The scheduler takes what a flow has in different priorities for different flows, too.
std::pair<int, uint64_t> flow_of(const Sharing& sharing) { return {sharing.priority, sharing.flow}; }

constexpr double in_megabytes(size_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

}  // namespace

Wait Admission::wait(const Demand& demand) const {
  std::vector<Work> waiting;
  waiting.reserve(tickets_.size());
  for (const Ticket* ticket : tickets_) waiting.push_back(ticket->left_);
  return wait_of({demand.seconds, demand.sharing}, waiting, demand.bulk_share);
}

// What is kept for those who have little counts as taken for the others.
bool Admission::has_room(const QueueShare& share, const Sharing& sharing) const {
  const auto found = flows_.find(flow_of(sharing));
  const QueueShare own = found == flows_.end() ? QueueShare() : found->second;
  return std::all_of(kResources.begin(), kResources.end(), [&](const auto resource) {
    const size_t limit = limits_.*resource;
    const bool little = own.*resource + share.*resource <= std::max<size_t>(1, limit / kLittlePart);
    return use_.all.*resource + share.*resource <= (little ? limit : limit - limit / kKeptPart);
  });
}

// Throws what speaks against it.
void Admission::check(const Demand& demand, const QueueShare& share) const {
  if (demand.answer_bytes > limits_.answer_bytes) {
    throw ApiError(
        Fault::kTooLarge,
        fmt::format("the answer would take about {:.0f} MiB of memory, and the limit is {:.0f} MiB: send fewer "
                    "texts at a time (--max-answer-bytes)",
                    in_megabytes(demand.answer_bytes), in_megabytes(limits_.answer_bytes)));
  }
  const double time = demand.deadline ? std::chrono::duration<double>(*demand.deadline - Clock::now()).count() : 0;
  if (demand.deadline && time <= 0) throw deadline_passed();
  if (demand.deadline && demand.measured && demand.seconds > kHopeless * time) {
    throw ApiError(Fault::kTooLarge,
                   fmt::format("this would take about {} even alone, and its deadline ({}) is in {}: send fewer texts "
                               "at a time, or allow more time",
                               in_seconds(demand.seconds), kDeadlineNames, in_seconds(time)));
  }
  if (use_.all.requests == 0) return;  // larger than the whole queue, it may be done alone
  if (!has_room(share, demand.sharing)) {
    throw ApiError(Fault::kOverloaded,
                   fmt::format("the queue is full ({} requests, about {} tokens; the last eighth of its room is for "
                               "callers who have little in it): the model is overloaded, try again later",
                               use_.all.requests, use_.all.tokens),
                   {}, retry_after(wait(demand).before()));
  }
  if (!demand.deadline) return;
  const Wait estimate = wait(demand);
  if (estimate.total() <= time) return;
  throw ApiError(
      Fault::kOverloaded,
      fmt::format("with {} other request{} in the queue this would take about {} ({}), and its deadline ({}) is in "
                  "{}: the model is overloaded, try again later or allow more time",
                  use_.all.requests, use_.all.requests == 1 ? "" : "s", in_seconds(estimate.total()), estimate.parts(),
                  kDeadlineNames, in_seconds(time)),
      {}, retry_after(estimate.total() - time));
}

std::unique_ptr<Admission::Ticket> Admission::enter(const std::string& model, const Demand& demand) {
  std::scoped_lock lock(mutex_);
  // However large it is, there is some room for others.
  const QueueShare share{1, std::min(demand.tokens, limits_.tokens / 4 * 3), demand.bytes, demand.answer_bytes};
  check(demand, share);
  if (use_.all.requests == 0) {
    measured_since_ = Clock::now();
    measured_tokens_ = 0;
  }
  ModelUse& of_model = use_.by_model[model];
  auto ticket = std::make_unique<Ticket>(*this, of_model, demand, share);
  tickets_.insert(ticket.get());
  add(use_.all, share);
  add(of_model, share);
  of_model.seconds[priority_class(demand.sharing.priority)] += demand.seconds;
  add(flows_[flow_of(demand.sharing)], share);
  return ticket;
}

void Admission::done(Ticket& ticket, double seconds) {
  std::scoped_lock lock(mutex_);
  work_off(ticket, seconds);
}

void Admission::work_off(Ticket& ticket, double seconds) {
  seconds = std::min(seconds, ticket.left_.seconds);
  ticket.left_.seconds -= seconds;
  double& of_class = ticket.model_.seconds[priority_class(ticket.left_.sharing.priority)];
  of_class = std::max(0.0, of_class - seconds);
}

void Admission::leave(Ticket& ticket) {
  std::scoped_lock lock(mutex_);
  take(use_.all, ticket.share_);
  take(ticket.model_, ticket.share_);
  work_off(ticket, ticket.left_.seconds);
  const auto flow = flows_.find(flow_of(ticket.left_.sharing));
  take(flow->second, ticket.share_);
  if (flow->second.requests == 0) flows_.erase(flow);
  if (ticket.model_.requests == 0) ticket.model_.seconds = {};  // what rounding has left
  tickets_.erase(&ticket);
  measured_tokens_ += ticket.share_.tokens;
  const Clock::time_point now = Clock::now();
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
