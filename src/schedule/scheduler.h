// Scheduler seam: waiting sequences -> batches under a token budget. No KV cache, no preemption; sequences are
// uncorrelated, so any order is right and only fairness and balance matter. Called by the engine thread alone.
#pragma once

#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "base/registry.h"
#include "stage/sequence.h"

namespace wde {

class Scheduler {
 public:
  virtual ~Scheduler() = default;

  // Kinds of executor that it can feed (Executor::accepts).
  virtual std::vector<std::string> feeds() const = 0;

  virtual void add(Sequence sequence) = 0;
  virtual bool cancel(RequestId id) = 0;  // true: was waiting and is gone now
  // Moves sequences to the end of `batch`, which has at most `budget` tokens afterwards, what it had before included.
  // Into an empty batch goes one at least, however long it is, if any wait.
  virtual void next_batch(size_t budget, std::vector<Sequence>& batch) = 0;
  virtual size_t waiting() const = 0;
  virtual size_t waiting_tokens() const = 0;
};

inline size_t tokens_of(std::span<const Sequence> batch) {
  return std::accumulate(batch.begin(), batch.end(), size_t{0},
                         [](size_t n, const Sequence& s) { return n + s.size(); });
}

using SchedulerFactory = std::function<std::unique_ptr<Scheduler>()>;
Registry<SchedulerFactory>& schedulers();

}  // namespace wde
