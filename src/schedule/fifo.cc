// fifo: in the order of arrival.
#include <algorithm>
#include <deque>

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
    queue_.push_back(std::move(sequence));
  }

  bool cancel(RequestId id) override {
    auto it = std::find_if(queue_.begin(), queue_.end(), [&](const Sequence& s) { return s.id == id; });
    if (it == queue_.end()) return false;
    tokens_ -= it->size();
    queue_.erase(it);
    return true;
  }

  void next_batch(size_t budget, std::vector<Sequence>& batch) override {
    const size_t had = tokens_of(batch);
    size_t tokens = had;
    while (!queue_.empty() && (batch.empty() || tokens + queue_.front().size() <= budget)) {
      tokens += queue_.front().size();
      batch.push_back(std::move(queue_.front()));
      queue_.pop_front();
    }
    tokens_ -= tokens - had;
  }

  size_t waiting() const override { return queue_.size(); }
  size_t waiting_tokens() const override { return tokens_; }

 private:
  std::deque<Sequence> queue_;
  size_t tokens_ = 0;
};

WDE_REGISTER(schedulers().add("fifo", [] { return std::make_unique<FifoScheduler>(); }));

}  // namespace
}  // namespace wde
