// The rule by which batches go to the workers, for the engine and for the simulator of it (bench/schedule).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace wde {

struct DispatchState {
  size_t waiting = 0, waiting_tokens = 0;  // in the scheduler
  bool contended = false;                  // Scheduler::contended
  bool more_coming = false;                // texts that the scheduler has not got yet
  size_t in_flight = 0;                    // batches that were given to the executor and have not come back
  size_t workers = 0, capacity = 0;        // of the executor, in batches
  size_t batch_tokens = 0;                 // of a full batch

  // Batches that are kept with the executor. While requests wait for each other few are kept ready, so that what comes
  // now is soon begun.
  size_t most_in_flight() const {
    return contended ? std::min(capacity, workers + std::max<size_t>(1, workers / 4)) : capacity;
  }

  // A full batch may go whenever there is room; less than that only to a worker that would idle, when nothing more is
  // at hand.
  bool can_dispatch() const {
    if (waiting == 0 || in_flight >= most_in_flight()) return false;
    return waiting_tokens >= batch_tokens || (!more_coming && in_flight < workers);
  }

  // Tokens of the next batch at most: what waits is shared among the workers that would idle.
  size_t share() const {
    if (in_flight >= workers) return SIZE_MAX;
    const size_t idle = workers - in_flight;
    return (waiting_tokens + idle - 1) / idle;
  }
};

}  // namespace wde
