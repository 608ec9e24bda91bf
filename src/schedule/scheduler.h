// Scheduler seam: waiting sequences -> batches under a token budget. No KV cache, no preemption; sequences are
// uncorrelated, so any order is right and only fairness and balance matter. Called by the engine thread alone.
#pragma once

#include <memory>
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
  // Moves sequences of at most `budget` tokens together into `batch` (cleared first), or a single longer one. Empty
  // only if none wait.
  virtual void next_batch(size_t budget, std::vector<Sequence>& batch) = 0;
  virtual size_t waiting() const = 0;
  virtual size_t waiting_tokens() const = 0;
};

using SchedulerFactory = std::function<std::unique_ptr<Scheduler>()>;
Registry<SchedulerFactory>& schedulers();

}  // namespace wde
