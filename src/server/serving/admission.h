// Admission: how much work may wait, and how much memory its answers may take. A request is let in whole or not at all;
// one with a deadline only if it can be done by then. One that is refused is told when to come again.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "server/dialects/api_error.h"
#include "server/serving/wait.h"

namespace wde::server {

struct QueueLimits {
  size_t requests = 512;
  size_t tokens = 1 << 19;  // estimated from the texts' sizes
  size_t bytes = 64 << 20;
  size_t answer_bytes = 256 << 20;  // estimated; also of one request's alone
};

// What a request asks for.
struct Demand {
  size_t tokens = 0;
  size_t bytes = 0;         // of its body, and what each text takes
  size_t answer_bytes = 0;  // of the results and the body made of them
  double seconds = 0;       // of all workers, by the cost model
  bool measured = false;    // ... which has seen batches, and does not guess
  Sharing sharing = {};
  std::optional<double> bulk_share = {};  // as wait_of() has it
  std::optional<Clock::time_point> deadline = {};
};

struct QueueShare {
  size_t requests = 0;
  size_t tokens = 0;
  size_t bytes = 0;
  size_t answer_bytes = 0;
};

// Priorities, as metrics tell them: before 0, 0 and after it.
inline constexpr std::array<std::string_view, 3> kPriorityClasses{"earlier", "normal", "later"};
constexpr size_t priority_class(int priority) { return priority < 0 ? 0 : priority == 0 ? 1 : 2; }

struct ModelUse : QueueShare {
  std::array<double, kPriorityClasses.size()> seconds{};  // of work that is not done, by the cost model
};

struct QueueUse {
  QueueShare all;
  std::map<std::string, ModelUse> by_model;  // every model that ever had a request
  double tokens_per_second = 0;              // of all models: they share the processor
};

class Admission {
 public:
  explicit Admission(const QueueLimits& limits)
      : limits_{limits.requests, limits.tokens, limits.bytes, limits.answer_bytes} {}

  // What a request takes of the queue, until it is destroyed.
  class Ticket {
   public:
    Ticket(Admission& owner, ModelUse& model, const Demand& demand, const QueueShare& share)
        : owner_(owner), model_(model), share_(share), left_{demand.seconds, demand.sharing} {}
    ~Ticket() { owner_.leave(*this); }
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;
    int priority() const { return left_.sharing.priority; }
    // So much of its work has been done.
    void done(double seconds) { owner_.done(*this, seconds); }

   private:
    friend class Admission;
    Admission& owner_;
    ModelUse& model_;  // entries of `by_model` stay where they are
    const QueueShare share_;
    Work left_;  // that was not done yet
  };

  // Throws ApiError: kOverloaded, with the seconds after which it is worth trying again; kTooLarge for what could not
  // be answered even alone.
  std::unique_ptr<Ticket> enter(const std::string& model, const Demand& demand);
  QueueUse use() const;

 private:
  Wait wait(const Demand& demand) const;
  bool has_room(const QueueShare& share, const Sharing& sharing) const;
  void check(const Demand& demand, const QueueShare& share) const;
  void done(Ticket& ticket, double seconds);
  static void work_off(Ticket& ticket, double seconds);
  void leave(Ticket& ticket);

  const QueueShare limits_;
  mutable std::mutex mutex_;
  QueueUse use_;
  std::map<std::pair<int, uint64_t>, QueueShare> flows_;  // by priority and flow: those that have something here
  std::unordered_set<const Ticket*> tickets_;
  size_t measured_tokens_ = 0;
  Clock::time_point measured_since_;
};

}  // namespace wde::server
