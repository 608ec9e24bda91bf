// Admission: how much work may wait. A request is let in whole or not at all, and one that is not is told when to come
// again, from how fast the work is being done.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>

#include "server/api_error.h"

namespace wde::server {

struct QueueLimits {
  size_t requests = 512;
  size_t tokens = 1 << 19;  // estimated from the texts' sizes
  size_t bytes = 64 << 20;
};

struct QueueUse {
  size_t requests = 0;
  size_t tokens = 0;
  size_t bytes = 0;
  double tokens_per_second = 0;
};

class Admission {
 public:
  explicit Admission(QueueLimits limits) : limits_(limits) {}

  // What a request takes of the queue, until it is destroyed.
  class Ticket {
   public:
    Ticket(Admission& owner, size_t tokens, size_t bytes) : owner_(owner), tokens_(tokens), bytes_(bytes) {}
    ~Ticket() { owner_.leave(tokens_, bytes_); }
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;

   private:
    Admission& owner_;
    size_t tokens_, bytes_;
  };

  // Throws ApiError (kOverloaded, with the seconds after which it is worth trying again).
  std::unique_ptr<Ticket> enter(size_t tokens, size_t bytes);
  QueueUse use() const;

 private:
  void leave(size_t tokens, size_t bytes);
  int retry_seconds() const;

  const QueueLimits limits_;
  mutable std::mutex mutex_;
  QueueUse use_;
  size_t measured_tokens_ = 0;
  Clock::time_point measured_since_;
};

}  // namespace wde::server
