// Group: the texts of one HTTP request on their way through an engine, whose scheduler shares its workers among
// requests: all texts are submitted at once, unless what is copied into each of them would fill the memory.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "server/dialects/plan.h"
#include "wde/engine.h"

namespace wde::server {

class Group : public std::enable_shared_from_this<Group> {
 public:
  // Called once: all responses, or the first error and the number of its request. From a thread of the engine, or from
  // start() if there are no requests.
  using Done = std::function<void(std::vector<Response>, std::optional<Error>, size_t)>;

  // Sees each answer as it comes, from any thread, and may drop parts of it. False: no more of them, kCancelled.
  using Watch = std::function<bool(size_t index, Response& response)>;

  // `shared` is put into each request when it is submitted.
  Group(std::shared_ptr<Engine> engine, std::vector<Request> requests, Shared shared, Done done, Watch watch = {});
  void start();
  // What has not begun will not; `done` comes with kCancelled when the rest is through.
  void cancel();

 private:
  struct Slot {
    RequestId id = 0;
    enum class State { kHeld, kSubmitted, kAnswered } state = State::kHeld;
    bool has_id = false;
  };

  void submit_more();
  void answered(size_t index, Result<Response> result);
  void fail(Error error, size_t index);

  std::shared_ptr<Engine> engine_;
  const Shared shared_;
  const size_t shared_bytes_;
  Done done_;
  Watch watch_;
  std::mutex mutex_;
  std::vector<Request> requests_;  // until the last of them was submitted
  std::vector<Slot> slots_;
  std::vector<Response> responses_;
  std::optional<Error> error_;
  size_t failed_ = 0;     // the request that `error_` is of
  size_t next_ = 0;       // the first that was not submitted
  size_t in_flight_ = 0;  // submitted and not answered
  bool begun_ = false;    // a text was answered: those that follow are computed, whatever their deadline
  bool finished_ = false;
};

size_t bytes_of(const Request& request);
size_t characters_of(const Request& request);

constexpr size_t kShortAnswer = 4096;  // numbers
// One answer of few numbers, which is written faster than handed to another thread.
bool is_short(const std::vector<Response>& responses);

}  // namespace wde::server
