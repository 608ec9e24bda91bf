// Wait: how long a request that comes now would take, by the cost model's estimates of what waits and by how the
// scheduler shares the workers.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "wde/request.h"

namespace wde::server {

// Of one request: seconds that all workers together still need for it, and whose it is.
struct Work {
  double seconds = 0;
  Sharing sharing;
};

struct Wait {
  double own = 0;
  double of_flow = 0;      // other requests of its flow
  double of_others = 0;    // other flows of its priority
  double of_earlier = 0;   // requests of earlier priorities
  double of_later = 0;     // ... and of later ones
  double of_arrivals = 0;  // all that came before, where nothing is shared

  double before() const { return of_flow + of_others + of_earlier + of_later + of_arrivals; }
  double total() const { return own + before(); }
  // "its own work 0.8 s, other callers 1.2 s": parts of less than a hundredth of the whole are left out.
  std::string parts() const;
};

// "0.019 s", "3.2 s", "120 s".
std::string in_seconds(double seconds);

// `bulk_share`: of the scheduler fair, what later priorities always have of the workers. None: another scheduler, to
// which all that waits is before what comes.
Wait wait_of(const Work& own, std::span<const Work> waiting, std::optional<double> bulk_share);

}  // namespace wde::server
