// WaitingIds: requests that may still be cancelled. Who removes an id - the engine, which begins or answers it, or a
// caller, who cancels it - has it to himself. In shards, so that many callers do not wait for each other.
#pragma once

#include <array>
#include <atomic>
#include <mutex>
#include <unordered_set>

#include "wde/engine.h"

namespace wde {

class WaitingIds {
 public:
  void insert(RequestId id) {
    Shard& shard = shard_of(id);
    const std::scoped_lock lock(shard.mutex);
    shard.ids.insert(id);
    size_.fetch_add(1, std::memory_order_relaxed);
  }
  // True: it was there, and the caller has removed it.
  bool remove(RequestId id) {
    Shard& shard = shard_of(id);
    const std::scoped_lock lock(shard.mutex);
    if (shard.ids.erase(id) == 0) return false;
    size_.fetch_sub(1, std::memory_order_relaxed);
    return true;
  }
  size_t size() const { return size_.load(std::memory_order_relaxed); }

 private:
  struct alignas(64) Shard {
    std::mutex mutex;
    std::unordered_set<RequestId> ids;
  };
  static constexpr size_t kShards = 16;
  Shard& shard_of(RequestId id) { return shards_[id % kShards]; }

  std::array<Shard, kShards> shards_;
  std::atomic<size_t> size_{0};
};

}  // namespace wde
