// MemoryBudget: what the bodies of requests, and answers that wait to be read, take of the memory that all connections
// share. A charge is counted until it is destroyed, wherever what it stands for has gone meanwhile. Thread-safe.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

namespace wde::server {

class MemoryBudget {
 public:
  explicit MemoryBudget(size_t limit) : limit_(limit) {}
  bool has_room_for(size_t bytes) const {
    const size_t now = used();
    return now <= limit_ && bytes <= limit_ - now;
  }
  size_t used() const { return used_.load(std::memory_order_relaxed); }

 private:
  friend class MemoryCharge;
  const size_t limit_;
  std::atomic<size_t> used_{0};
};

class MemoryCharge {
 public:
  MemoryCharge() = default;
  explicit MemoryCharge(std::shared_ptr<MemoryBudget> budget) : budget_(std::move(budget)) {}
  ~MemoryCharge() { set(0); }
  MemoryCharge(const MemoryCharge&) noexcept {}  // a copy counts nothing
  MemoryCharge(MemoryCharge&& other) noexcept
      : budget_(std::move(other.budget_)), bytes_(std::exchange(other.bytes_, 0)) {}
  MemoryCharge& operator=(MemoryCharge&& other) noexcept {
    std::swap(budget_, other.budget_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }

  void set(size_t bytes) {
    if (budget_ == nullptr) return;
    budget_->used_ += bytes - bytes_;  // unsigned: what wraps around here does so back in the sum
    bytes_ = bytes;
  }
  // False, and nothing is changed: there is no room for so much more.
  bool try_set(size_t bytes) {
    if (budget_ != nullptr && bytes > bytes_ && !budget_->has_room_for(bytes - bytes_)) return false;
    set(bytes);
    return true;
  }
  size_t bytes() const { return bytes_; }

 private:
  std::shared_ptr<MemoryBudget> budget_;  // nullptr: nobody counts
  size_t bytes_ = 0;
};

}  // namespace wde::server
