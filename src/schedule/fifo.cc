// fifo: in the order of arrival.
#include <list>
#include <unordered_map>

#include "schedule/scheduler.h"

namespace wde {

Registry<SchedulerFactory>& schedulers() {
  static Registry<SchedulerFactory> registry("scheduler");
  return registry;
}

namespace {

class FifoScheduler final : public Scheduler {
 public:
  std::vector<std::string> feeds() const override { return {"sync", "async"}; }

  void add(Sequence sequence) override {
    tokens_ += sequence.size();
    const RequestId id = sequence.id;
    queue_.push_back(std::move(sequence));
    by_id_[id] = std::prev(queue_.end());
  }

  bool cancel(RequestId id) override {
    const auto it = by_id_.find(id);
    if (it == by_id_.end()) return false;
    tokens_ -= it->second->size();
    queue_.erase(it->second);
    by_id_.erase(it);
    return true;
  }

  void next_batch(const BatchLimit& limit, std::vector<Sequence>& batch) override {
    const size_t budget = limit.tokens;
    const size_t had = tokens_of(batch);
    size_t tokens = had;
    while (!queue_.empty() && (batch.empty() || tokens + queue_.front().size() <= budget)) {
      tokens += queue_.front().size();
      by_id_.erase(queue_.front().id);
      batch.push_back(std::move(queue_.front()));
      queue_.pop_front();
    }
    tokens_ -= tokens - had;
  }

  size_t waiting() const override { return queue_.size(); }
  size_t waiting_tokens() const override { return tokens_; }

 private:
  std::list<Sequence> queue_;
  std::unordered_map<RequestId, std::list<Sequence>::iterator> by_id_;
  size_t tokens_ = 0;
};

WDE_REGISTER(schedulers().add("fifo", [](const SchedulerConfig&) { return std::make_unique<FifoScheduler>(); }));

}  // namespace
}  // namespace wde
