// Admission: how much work may wait, and how much memory its answers may take. A request is let in whole or not at all,
// and only if it can be done before its deadline: what would be given up half done takes the time of all others. One
// that is refused is told when to come again, from how fast the work is being done.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_set>

#include "server/dialects/api_error.h"
#include "server/serving/pace.h"

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
  size_t bytes = 0;         // of its body
  size_t answer_bytes = 0;  // of the results and the body made of them
  std::string kind = {};    // of work, as Pace knows it
  double guess = 0;         // seconds a token
  std::optional<Clock::time_point> deadline = {};
};

struct QueueShare {
  size_t requests = 0;
  size_t tokens = 0;
  size_t bytes = 0;
  size_t answer_bytes = 0;
};

struct QueueUse {
  QueueShare all;
  std::map<std::string, QueueShare> by_model;  // every model that ever had a request
  double tokens_per_second = 0;                // of all models: they share the processor
};

class Admission {
 public:
  explicit Admission(QueueLimits limits) : limits_(limits) {}

  // What a request takes of the queue, until it is destroyed.
  class Ticket {
   public:
    Ticket(Admission& owner, QueueShare& model, const Demand& demand, const QueueShare& share)
        : owner_(owner), model_(model), demand_(demand), share_(share), left_(demand.tokens) {}
    ~Ticket() { owner_.leave(*this); }
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;
    // So many of its tokens have been computed.
    void done(size_t tokens) { owner_.done(*this, tokens); }

   private:
    friend class Admission;
    Admission& owner_;
    QueueShare& model_;  // entries of `by_model` stay where they are
    const Demand demand_;
    const QueueShare share_;
    size_t left_;  // tokens that were not computed yet
  };

  // Throws ApiError: kOverloaded, with the seconds after which it is worth trying again; kTooLarge for what could not
  // be answered even alone.
  std::unique_ptr<Ticket> enter(const std::string& model, const Demand& demand);
  QueueUse use() const;

 private:
  double seconds_before(const Demand& demand) const;
  void check(const Demand& demand, const QueueShare& share) const;
  void done(Ticket& ticket, size_t tokens);
  void leave(Ticket& ticket);

  const QueueLimits limits_;
  mutable std::mutex mutex_;
  QueueUse use_;
  Pace pace_;
  std::unordered_set<const Ticket*> tickets_;
  size_t measured_tokens_ = 0;
  Clock::time_point measured_since_;
};

}  // namespace wde::server
