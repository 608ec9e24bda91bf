// A server without its workers: the engine's scheduler and rule of dispatch on a clock of their own, and batches that
// take what the cost model says. It tokenizes in no time.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "clients.h"
#include "schedule/scheduler.h"

namespace wde::simulation {

struct Server {
  size_t workers = 2;
  size_t batch_tokens = 512;
  double batch_seconds = 0.020;
  double bulk_share = 0.05;
};

// A text of which something is told.
struct Text {
  size_t id = 0;  // of those that are not computed yet
  uint64_t flow = 0, request = 0;
  size_t kind = 0;  // of the client, as an index
  size_t client = 0;
  int priority = 0;
  double weight = 1;
  size_t tokens = 0;
  double seconds = 0;  // by the cost model
  double arrival = 0;
  double request_work = 0;  // of all texts of its request, each with what a batch costs by itself
};

// What happens, in the order in which it does. Times are seconds since the beginning.
class Watcher {
 public:
  virtual ~Watcher() = default;
  virtual void arrived(const Text& /*text*/) {}                                          // waits
  virtual void taken(const Text& /*text*/, double /*now*/) {}                            // is in a batch
  virtual void begun(const Text& /*text*/, double /*now*/) {}                            // a worker computes the batch
  virtual void advanced(double /*now*/, size_t /*waiting*/, size_t /*busy_workers*/) {}  // before the clock moves on
};

// In seconds; of a request: from its arrival until its last text is computed.
struct Answered {
  size_t kind = 0;
  double arrival = 0;
  double time = 0;
  double alone = 0;  // what it would take a server that has nothing else to do
};

struct Scenario {
  const CostModel* cost = nullptr;
  Server server;
  std::vector<ClientKind> kinds;
  double load = 0.8;        // of the workers, by clients that do not saturate
  size_t requests = 10000;  // that arrive, those of saturating clients aside
  double seconds = 0;       // instead, where it is not 0: until when something arrives
  uint64_t seed = 1;
};

using MakeScheduler = std::function<std::unique_ptr<Scheduler>(const SchedulerConfig&)>;
// One of the engine's, or "shortest_first", which the engine does not have: the shortest text of all goes next.
MakeScheduler scheduler_named(const std::string& name);

// Until everything is answered that arrived.
std::vector<Answered> simulate(const Scenario& scenario, const MakeScheduler& make, Watcher* watcher = nullptr);

}  // namespace wde::simulation
