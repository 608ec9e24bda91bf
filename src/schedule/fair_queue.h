// FairQueue: what waits of one priority, by the flow and the request that it belongs to, and whose turn it is. Virtual
// times are seconds of work for a weight of 1.
#pragma once

#include <limits>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "schedule/cost_model.h"
#include "stage/sequence.h"

namespace wde {

class FairQueue {
 public:
  static constexpr double kNoLimit = std::numeric_limits<double>::infinity();
  struct Room {
    size_t tokens = 0;
    double seconds = kNoLimit;  // of a thread
  };

  explicit FairQueue(const CostModel& cost) : cost_(&cost) {}

  void add(Sequence sequence, uint64_t arrival);  // arrivals ascend
  Sequence cancel(uint64_t flow, uint64_t group, uint64_t arrival);
  // Precondition: something waits.
  Sequence take_next();
  // Adds to a batch that is not empty, as long as all of it is within `room`.
  void fill(const Room& room, std::vector<Sequence>& batch);

  bool empty() const { return requests_ == 0; }
  size_t requests() const { return requests_; }
  size_t flows() const { return flows_.size(); }  // that wait, or have had more than their turn

 private:
  using Key = std::pair<size_t, uint64_t>;  // length, arrival
  struct Request {
    uint64_t group = 0;
    double start = 0;    // when it came, in the flow's time
    double taken = 0;    // seconds of work: what was taken of it ...
    double waiting = 0;  // ... what waits ...
    double left = 0;     // ... and what is not tokenized yet, estimated when its last text came
    double tag = 0;      // start and all of its work
    std::map<Key, Sequence> by_length;
    std::map<uint64_t, size_t> by_arrival;  // arrival -> length
  };
  struct Flow {
    uint64_t id = 0;
    double weight = 1;
    double start = 0;  // when its next text would begin ...
    double tag = 0;    // ... and be done
    double clock = 0;  // the time among its requests
    std::unordered_map<uint64_t, Request> requests;
    std::set<std::pair<double, uint64_t>> order;  // tag, group
  };
  using Order = std::set<std::pair<double, uint64_t>>;  // time, flow's id
  struct Candidate {
    Flow* flow;
    uint64_t group;
    bool is_heads = false;  // the request of the batch's first text
  };

  Flow& flow_of(const Sharing& sharing);
  static void set_tag(Flow& flow, Request& request);
  void remove(Flow& flow, Request& request, Key key);
  void place(Flow& flow);
  Sequence take(Flow& flow, Request& request, Key key, double seconds);
  void forget_idle();
  std::vector<Candidate> candidates(const Sequence& head, double lead);
  bool is_ahead(const Candidate& one, double lead) const;
  size_t longest_within(double seconds) const;
  // The text of this request that is nearest to `length` in length, and not longer than `most`; nullptr: none.
  static const Key* nearest(const Request& request, size_t length, size_t most);

  const CostModel* cost_;
  double clock_ = 0;
  double weights_ = 0;   // of the backlogged flows
  struct Turn {          // of the last batch
    double start = 0;    // of the flow whose turn it was
    double weights = 1;  // of the flows that were backlogged then
  };
  Turn turn_;
  std::unordered_map<uint64_t, Flow> flows_;  // backlogged, or ahead of the clock
  Order backlogged_;                          // by tag
  Order idle_;                                // by start
  size_t requests_ = 0;
};

}  // namespace wde
