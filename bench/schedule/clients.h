// Clients of a simulated server: what they ask for, and when.
#pragma once

#include <string>
#include <vector>

#include "random.h"
#include "schedule/cost_model.h"

namespace wde::simulation {

enum class Arrivals {
  kPoisson,
  kBursts,     // Poisson, four times as dense, in a quarter of the time
  kSaturating  // so many requests at any time: the next comes when one is answered
};

struct ClientKind {
  std::string name;
  size_t clients = 1;  // as many alike, each a flow of its own
  Arrivals arrivals = Arrivals::kPoisson;
  double work = 0;                         // the part of the load that all of them make; for those that do not saturate
  size_t in_flight = 1;                    // of each client that saturates
  size_t least_texts = 1, most_texts = 1;  // of a request; uniform in scale
  size_t least_tokens = 8, most_tokens = 8;  // of a text; uniform
  double weight = 1;
  int priority = 0;
  bool reconnects = false;  // every request is a flow of its own, as of a client without a key that closes connections
};

// Seconds of a thread for a request by itself, on the average of many.
double mean_work(const ClientKind& kind, const CostModel& cost, size_t batch_tokens);

// Queries, rerank requests and bulk load, in different traces; throws std::invalid_argument for a name that is not one
// of trace_names().
std::vector<ClientKind> trace(const std::string& name);
std::vector<std::string> trace_names();

// all-MiniLM-L6-v2's sizes, at so many operations a second.
CostModel small_model(double operations);

}  // namespace wde::simulation
