// length_aware: every batch holds the request that has waited longest, then those nearest to it in length. Texts of a
// batch take about as long as each other, and nobody waits for more batches than stood before it: the oldest always
// goes next.
#include <map>
#include <set>
#include <unordered_map>

#include "schedule/scheduler.h"

namespace wde {
namespace {

class LengthAwareScheduler final : public Scheduler {
 public:
  std::vector<std::string> feeds() const override { return {"sync", "async"}; }

  void add(Sequence sequence) override {
    tokens_ += sequence.size();
    const uint64_t arrival = next_arrival_++;
    by_id_[sequence.id] = arrival;
    by_length_.emplace(Key{sequence.size(), arrival});
    by_arrival_.emplace(arrival, std::move(sequence));
  }

  bool cancel(RequestId id) override {
    auto it = by_id_.find(id);
    if (it == by_id_.end()) return false;
    take(it->second);
    return true;
  }

  void next_batch(const BatchLimit& limit, std::vector<Sequence>& batch) override {
    const size_t budget = limit.tokens;
    if (batch.empty() && !by_arrival_.empty()) batch.push_back(take(by_arrival_.begin()->first));
    if (batch.empty()) return;
    const size_t length = batch.front().size();
    size_t tokens = tokens_of(batch);
    while (!by_length_.empty()) {
      // The nearest neighbours in length: at or above, and below. Of equal ones the oldest.
      auto above = by_length_.lower_bound(Key{length, 0});
      auto nearest = above;
      if (above != by_length_.begin()) {
        const auto below = by_length_.lower_bound(Key{std::prev(above)->length, 0});
        if (above == by_length_.end() || length - below->length < above->length - length) nearest = below;
      }
      // Too long for what is left: a shorter one may still fit.
      if (tokens + nearest->length > budget) {
        if (nearest == by_length_.begin() || budget <= tokens) break;
        auto fitting = by_length_.upper_bound(Key{budget - tokens, UINT64_MAX});
        if (fitting == by_length_.begin()) break;
        nearest = by_length_.lower_bound(Key{std::prev(fitting)->length, 0});
      }
      tokens += nearest->length;
      batch.push_back(take(nearest->arrival));
    }
  }

  size_t waiting() const override { return by_arrival_.size(); }
  size_t waiting_tokens() const override { return tokens_; }

 private:
  struct Key {
    size_t length;
    uint64_t arrival;
    auto operator<=>(const Key&) const = default;
  };

  Sequence take(uint64_t arrival) {
    auto it = by_arrival_.find(arrival);
    Sequence sequence = std::move(it->second);
    by_arrival_.erase(it);
    by_length_.erase(Key{sequence.size(), arrival});
    by_id_.erase(sequence.id);
    tokens_ -= sequence.size();
    return sequence;
  }

  std::map<uint64_t, Sequence> by_arrival_;
  std::set<Key> by_length_;
  std::unordered_map<RequestId, uint64_t> by_id_;
  uint64_t next_arrival_ = 0;
  size_t tokens_ = 0;
};

WDE_REGISTER(schedulers().add("length_aware",
                              [](const SchedulerConfig&) { return std::make_unique<LengthAwareScheduler>(); }));

}  // namespace
}  // namespace wde
