// shortest_first: the shortest text of all that wait, whoever waits for it and for how long. The least mean time is had
// so, and the longest ones starve. For comparison alone.
#include <map>
#include <unordered_map>

#include "simulator.h"

namespace wde::simulation {
namespace {

class ShortestFirst final : public Scheduler {
 public:
  std::vector<std::string> feeds() const override { return {"sync", "async"}; }

  void add(Sequence sequence) override {
    const Key key{sequence.size(), next_arrival_++};
    by_id_.emplace(sequence.id, key);
    tokens_ += key.first;
    waiting_.emplace(key, std::move(sequence));
  }

  bool cancel(RequestId id) override {
    const auto found = by_id_.find(id);
    if (found == by_id_.end()) return false;
    take(waiting_.find(found->second));
    return true;
  }

  void next_batch(const BatchLimit& limit, std::vector<Sequence>& batch) override {
    size_t tokens = tokens_of(batch);
    while (!waiting_.empty()) {
      const auto first = waiting_.begin();
      if (!batch.empty() && tokens + first->first.first > limit.tokens) return;
      tokens += first->first.first;
      batch.push_back(take(first));
    }
  }

  size_t waiting() const override { return waiting_.size(); }
  size_t waiting_tokens() const override { return tokens_; }

 private:
  using Key = std::pair<size_t, uint64_t>;  // length, arrival

  Sequence take(std::map<Key, Sequence>::iterator at) {
    Sequence sequence = std::move(at->second);
    tokens_ -= sequence.size();
    by_id_.erase(sequence.id);
    waiting_.erase(at);
    return sequence;
  }

  std::map<Key, Sequence> waiting_;
  std::unordered_map<RequestId, Key> by_id_;
  uint64_t next_arrival_ = 0;
  size_t tokens_ = 0;
};

}  // namespace

MakeScheduler scheduler_named(const std::string& name) {
  if (name == "shortest_first") return [](const SchedulerConfig&) { return std::make_unique<ShortestFirst>(); };
  return schedulers().get(name);
}

}  // namespace wde::simulation
