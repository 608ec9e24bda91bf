// Intake: requests that were submitted and are not tokenized yet, and which of them is tokenized next. Tokenizing runs
// ahead of the workers only so far, for all requests together; but where requests are told apart, each of them has a
// text tokenized soon, however many of another's wait.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <tuple>
#include <unordered_map>

#include "wde/engine.h"

namespace wde {

struct Submitted {
  RequestId id = 0;
  uint64_t group = 0;  // not 0
  std::optional<std::chrono::steady_clock::time_point> deadline;
  size_t bytes = 0;  // of the input
  Request request;
  Engine::Callback done;
  std::chrono::steady_clock::time_point arrival;
};

// Not thread-safe: the engine thread's.
class Intake {
 public:
  // `separate`: tells groups apart; else the order is that of arrival.
  explicit Intake(bool separate) : separate_(separate) {}

  // Ids ascend, but for those that come from several threads at once.
  void add(Submitted submitted);
  bool empty() const { return order_.empty(); }
  // `ahead`: more may be tokenized than the workers will soon need.
  bool has_next(bool ahead) const;
  // Precondition: has_next(). What it gives is of its group until leave().
  Submitted next();
  std::optional<Submitted> cancel(RequestId id);

  // A text of this group was tokenized: it waits with so many tokens.
  void tokenized(uint64_t group, size_t tokens);
  // A text that next() gave is of no more concern, nor are so many waiting tokens.
  void leave(uint64_t group, size_t tokens);
  // Tokens of the group's texts that next() has not given, estimated by their bytes.
  size_t tokens_left(uint64_t group) const;
  // Of the group's texts one was given to the workers: the others are computed, whatever their deadline.
  void begin(uint64_t group);
  bool has_begun(uint64_t group) const;

 private:
  struct Group {
    std::map<RequestId, Submitted> texts;
    int priority = 0;
    size_t bytes = 0;           // of the texts' inputs
    size_t open = 0;            // texts, and those that next() gave and that have not left
    size_t waiting_tokens = 0;  // of the latter
    bool begun = false;
  };
  // Tokens that wait, priority, the first text; without the first two where groups are not told apart.
  using Place = std::tuple<size_t, int, RequestId>;

  using Groups = std::unordered_map<uint64_t, Group>;
  Place place_of(const Group& group) const;
  Submitted take(Groups::iterator at, std::map<RequestId, Submitted>::iterator text);
  void close(Groups::iterator at);  // one that was open

  const bool separate_;
  Groups groups_;
  std::map<Place, uint64_t> order_;  // groups with texts
  std::unordered_map<RequestId, uint64_t> group_of_;
};

}  // namespace wde
