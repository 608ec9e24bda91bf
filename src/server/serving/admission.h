// Admission: how much work may wait. A request is let in whole or not at all, and one that is not is told when to come
// again, from how fast the work is being done.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "server/dialects/api_error.h"

namespace wde::server {

struct QueueLimits {
  size_t requests = 512;
  size_t tokens = 1 << 19;  // estimated from the texts' sizes
  size_t bytes = 64 << 20;
};

struct QueueShare {
  size_t requests = 0;
  size_t tokens = 0;
  size_t bytes = 0;
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
    Ticket(Admission& owner, QueueShare& model, const QueueShare& share)
        : owner_(owner), model_(model), share_(share) {}
    ~Ticket() { owner_.leave(model_, share_); }
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;

   private:
    Admission& owner_;
    QueueShare& model_;  // entries of `by_model` stay where they are
    const QueueShare share_;
  };

  // Throws ApiError (kOverloaded, with the seconds after which it is worth trying again).
  std::unique_ptr<Ticket> enter(const std::string& model, size_t tokens, size_t bytes);
  QueueUse use() const;

 private:
  void leave(QueueShare& model, const QueueShare& share);
  int retry_seconds() const;

  const QueueLimits limits_;
  mutable std::mutex mutex_;
  QueueUse use_;
  size_t measured_tokens_ = 0;
  Clock::time_point measured_since_;
};

}  // namespace wde::server
