// What no text waits longer than with the scheduler fair: the formula of docs/scheduling.md, and a watcher that holds a
// simulation to it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <unordered_map>
#include <vector>

#include "simulator.h"

namespace wde::simulation {

// What is known beforehand; seconds of a thread.
struct Limits {
  double batch = 0;         // of a batch that is cut
  double text = 0;          // of the longest text, alone in a batch
  double uncut = 0;         // of the longest batch while nobody else waits
  double fixed = 0;         // of a batch, on top of its texts
  double least_weight = 1;  // of a flow
  double bulk_share = 0;
  size_t workers = 1, batches = 2;  // that the executor has at most, computed or ready

  static Limits of(const Scenario& scenario);
};

// The most of everything that waited at one time while the text did, itself included.
struct Company {
  size_t requests = 1;         // of the text's flow
  size_t flows = 1;            // of its priority ...
  double weights = 1;          // ... and what they weigh together
  size_t classes = 1;          // priorities
  double longest_request = 0;  // seconds of all texts, of any request of the flow
};

// Seconds from the arrival of a request until all its texts have begun. `request`: seconds of its texts, with what a
// batch costs by itself for each. `earliest`: there is no earlier priority.
double longest_wait(const Limits& limits, const Company& company, double request, double weight, bool earliest);

// The most since a time of something that changes.
class Most {
 public:
  void set(uint64_t time, double value) {
    while (!falling_.empty() && falling_.back().second <= value) falling_.pop_back();
    falling_.emplace_back(time, value);
  }
  // Precondition: it was set at `time` or later.
  double since(uint64_t time) const {
    return std::lower_bound(falling_.begin(), falling_.end(), std::pair{time, -1.0})->second;
  }

 private:
  std::vector<std::pair<uint64_t, double>> falling_;
};

class BoundWatcher : public Watcher {
 public:
  explicit BoundWatcher(const Scenario& scenario) : limits_(Limits::of(scenario)), kinds_(scenario.kinds) {}

  void arrived(const Text& text) override;
  void taken(const Text& text, double now) override;
  void begun(const Text& text, double now) override;

  // Of all texts, the highest part of its bound that one waited.
  double worst() const { return worst_; }
  size_t beyond() const { return beyond_; }  // texts that waited longer than their bound
  size_t texts() const { return texts_; }
  double longest() const { return longest_; }  // seconds that a text waited
  double least_bound() const { return least_bound_; }

 private:
  struct Request {
    uint64_t since = 0;
    size_t waiting = 0;  // texts
  };
  struct Flow {
    std::unordered_map<uint64_t, Request> requests;
    Most most;
    double longest_request = 0;  // since it began to wait
  };
  struct PriorityClass {
    std::unordered_map<uint64_t, Flow> flows;
    double weights = 0;
    Most most_flows, most_weights;
  };

  const Limits limits_;
  const std::vector<ClientKind> kinds_;
  std::map<int, PriorityClass> classes_;
  Most most_classes_;
  size_t waiting_classes_ = 0;
  uint64_t time_ = 0;
  std::vector<double> bounds_;  // of those in batches, by Text::id
  double worst_ = 0, longest_ = 0, least_bound_ = std::numeric_limits<double>::infinity();
  size_t beyond_ = 0, texts_ = 0;
};

}  // namespace wde::simulation
