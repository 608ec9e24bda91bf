// Scheduler seam: waiting sequences -> batches within a limit. No KV cache, no preemption; sequences are uncorrelated,
// so any order is right and only fairness and balance matter. Called by the engine thread alone.
#pragma once

#include <limits>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "base/registry.h"
#include "schedule/cost_model.h"
#include "stage/sequence.h"

namespace wde {

// What a batch may be at most.
struct BatchLimit {
  size_t tokens = 0;
  Clock::time_point now = {};
  size_t threads = 1;  // that compute it together
};

class Scheduler {
 public:
  virtual ~Scheduler() = default;

  // Kinds of executor that it can feed (Executor::accepts).
  virtual std::vector<std::string> feeds() const = 0;
  // It tells requests apart (Sequence::options' sharing and group): then some texts of each should be tokenized before
  // more of one are. Otherwise texts are tokenized in the order of their arrival.
  virtual bool separates_requests() const { return false; }

  virtual void add(Sequence sequence) = 0;
  virtual bool cancel(RequestId id) = 0;  // true: was waiting and is gone now; O(log n)
  // Moves sequences to the end of `batch`, which has at most `limit.tokens` tokens afterwards, what it had before
  // included. Into an empty batch goes one at least, however long it is, if any wait.
  virtual void next_batch(const BatchLimit& limit, std::vector<Sequence>& batch) = 0;
  virtual size_t waiting() const = 0;
  virtual size_t waiting_tokens() const = 0;
  // Requests wait for each other, or did until just now: no more batches should be made than the workers need, so that
  // one that comes now is soon in a batch.
  virtual bool contended(Clock::time_point /*now*/) const { return false; }
};

inline size_t tokens_of(std::span<const Sequence> batch) {
  return std::accumulate(batch.begin(), batch.end(), size_t{0},
                         [](size_t n, const Sequence& s) { return n + s.size(); });
}

// What schedulers are made with; those that have no use for a setting refuse it (refuse_fair_settings).
struct SchedulerConfig {
  const CostModel* cost = nullptr;  // outlives the scheduler; not nullptr
  double batch_seconds = 0.020;     // --batch-time: of a batch while others wait
  double bulk_share = 0.05;         // --bulk-share: of the workers, for what comes after other priorities
};

using SchedulerFactory = std::function<std::unique_ptr<Scheduler>(const SchedulerConfig&)>;
Registry<SchedulerFactory>& schedulers();

}  // namespace wde
