// fair: weighted fair queueing, in seconds of the cost model. Priorities are served in order, but for the share that
// the later ones save up for while they wait. Within a priority the flow goes next whose next text would be done first
// if all had shares by their weights (fair queueing with the clock of Goyal, Vin and Cheng, 1997). Within a flow it is
// the shortest request, all of its texts together, with ageing: a short one overtakes what is left of a long one, equal
// ones are done one after the other, and a long one grows old. Neighbours in length fill the batch. What no text waits
// longer than is in docs/scheduling.md, with the proof.
#include <chrono>
#include <iterator>
#include <map>
#include <optional>
#include <unordered_map>

#include "schedule/fair_queue.h"
#include "schedule/scheduler.h"

namespace wde {
namespace {

class FairScheduler final : public Scheduler {
 public:
  explicit FairScheduler(const SchedulerConfig& config) : config_(config) {}

  std::vector<std::string> feeds() const override { return {"sync", "async"}; }
  bool separates_requests() const override { return true; }

  void add(Sequence sequence) override {
    const Sharing& sharing = sequence.options.sharing;
    auto [at, is_new] = classes_.try_emplace(sharing.priority, *config_.cost);
    by_id_.emplace(sequence.id, Place{sharing.priority, sharing.flow, sequence.options.group, next_arrival_});
    tokens_ += sequence.size();
    at->second.queue.add(std::move(sequence), next_arrival_++);
  }

  bool cancel(RequestId id) override {
    const auto found = by_id_.find(id);
    if (found == by_id_.end()) return false;
    const Place place = found->second;
    const auto at = classes_.find(place.priority);
    tokens_ -= at->second.queue.cancel(place.flow, place.group, place.arrival).size();
    by_id_.erase(found);
    if (at->second.queue.empty()) classes_.erase(at);
    return true;
  }

  void next_batch(const BatchLimit& limit, std::vector<Sequence>& batch) override {
    if (classes_.empty()) return;
    const bool shared = contended(limit.now);
    if (requests() > 1) contended_ = limit.now;
    const size_t had = batch.size();
    double seconds = had == 0 ? config_.cost->fixed_seconds() : 0;
    const auto at = batch.empty() ? choose(limit.threads) : classes_.find(batch.front().options.sharing.priority);
    if (at == classes_.end()) return;
    FairQueue& queue = at->second.queue;
    if (batch.empty()) batch.push_back(queue.take_next());
    queue.fill({limit.tokens, shared ? longest_batch(limit.threads) : FairQueue::kNoLimit}, batch);
    for (size_t i = had; i < batch.size(); ++i) {
      tokens_ -= batch[i].size();
      by_id_.erase(batch[i].id);
      seconds += config_.cost->seconds(batch[i].size());
    }
    settle(at, seconds);
    if (queue.empty()) classes_.erase(at);
  }

  size_t waiting() const override { return by_id_.size(); }
  size_t waiting_tokens() const override { return tokens_; }

  bool contended(Clock::time_point now) const override {
    return requests() > 1 || (contended_ && now - *contended_ < kRemembered);
  }

 private:
  // Who waited a moment ago comes again: no long batch is made meanwhile.
  static constexpr std::chrono::seconds kRemembered{1};
  // What a batch costs by itself is at most so much of it, even if it takes longer than it should: of a large model,
  // batches that are cut too short would be read from memory for a handful of tokens each.
  static constexpr double kMostFixed = 0.2;

  struct PriorityClass {
    explicit PriorityClass(const CostModel& cost) : queue(cost) {}
    FairQueue queue;
    double saved = 0;  // seconds of work to which it is entitled, though others go first
  };
  using Classes = std::map<int, PriorityClass>;
  struct Place {
    int priority;
    uint64_t flow, group, arrival;
  };

  size_t requests() const {
    size_t count = 0;
    for (const auto& [priority, one] : classes_) count += one.queue.requests();
    return count;
  }

  double longest_batch(size_t threads) const {
    return std::max(config_.batch_seconds * static_cast<double>(threads), config_.cost->fixed_seconds() / kMostFixed);
  }

  // The first, unless a later one has saved enough for a batch.
  Classes::iterator choose(size_t threads) {
    const double batch = longest_batch(threads);
    for (auto at = std::next(classes_.begin()); at != classes_.end(); ++at) {
      if (at->second.saved >= batch) return at;
    }
    return classes_.begin();
  }

  // `seconds` of work of this class were begun: the later ones have a share of that to divide among them.
  void settle(Classes::iterator served, double seconds) {
    if (served != classes_.begin()) served->second.saved -= seconds;
    const auto later = static_cast<double>(classes_.size() - 1);
    for (auto at = std::next(classes_.begin()); at != classes_.end(); ++at) {
      at->second.saved += seconds * config_.bulk_share / later;
    }
  }

  const SchedulerConfig config_;
  Classes classes_;  // those in which something waits
  std::unordered_map<RequestId, Place> by_id_;
  uint64_t next_arrival_ = 0;
  size_t tokens_ = 0;
  std::optional<Clock::time_point> contended_;  // when requests last waited for each other
};

WDE_REGISTER(schedulers().add("fair",
                              [](const SchedulerConfig& config) { return std::make_unique<FairScheduler>(config); }));

}  // namespace
}  // namespace wde
