// Team: threads that compute one thing together, all running the same function on their share (SPMD). A team of one,
// the default, is the calling thread. Splitting never changes a result: an element is computed by one member, by the
// same operations.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "base/view.h"

namespace wde {

struct Range {
  size_t begin = 0, end = 0;
  size_t size() const { return end - begin; }
};

// Of n items, the share that one of `size` has; borders fall on multiples of `unit`.
constexpr Range share_of(size_t n, size_t unit, size_t rank, size_t size) {
  const size_t units = (n + unit - 1) / unit;
  const size_t begin = units * rank / size * unit, end = units * (rank + 1) / size * unit;
  return {begin < n ? begin : n, end < n ? end : n};
}

// Meeting point of a fixed number of threads. Waits are short in a forward pass, so it spins for some microseconds;
// then it sleeps, so that a thread that is not running does not cost its core.
class Barrier {
 public:
  explicit Barrier(size_t members = 1) { reset(members); }
  void reset(size_t members) { members_ = static_cast<uint32_t>(members); }  // while nobody is at it
  void arrive_and_wait() noexcept;

 private:
  uint32_t members_ = 1;
  alignas(128) std::atomic<uint32_t> arrived_{0};  // 128: the adjacent-line prefetcher pulls two lines at a time
  alignas(128) std::atomic<uint32_t> generation_{0};
};

// Blocks until value != old: spins for some microseconds, then sleeps.
void wait_for_change(const std::atomic<uint32_t>& value, uint32_t old) noexcept;
// Returns when value != old, or after `patience`. Gives its core to any other thread that wants it.
void poll_for_change(const std::atomic<uint32_t>& value, uint32_t old, std::chrono::microseconds patience) noexcept;

// Between processes that compute one thing together: each has a team of its own and computes its share of every
// matrix's columns.
class Exchange {
 public:
  Exchange(size_t rank, size_t size) : rank_(rank), size_(size) {}
  virtual ~Exchange() = default;
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  // Of n columns, those of this process.
  Range columns(size_t n, size_t unit) const { return share_of(n, unit, rank_, size_); }
  // Fills in the columns of y that the others have computed. Every process calls it for the same matrices in the same
  // order.
  virtual void gather(View<float> y, size_t unit) noexcept = 0;

 protected:
  const size_t rank_, size_;
};

// One member's place in the team.
struct Part {
  size_t rank = 0, size = 1;
  Barrier* barrier = nullptr;
  Exchange* exchange = nullptr;  // nullptr: there is one process, which computes all columns

  void sync() const noexcept {
    if (size > 1) barrier->arrive_and_wait();
  }
  // This member's share of n items; borders fall on multiples of `unit`.
  Range share(size_t n, size_t unit = 1) const { return share_of(n, unit, rank, size); }

  // Of n columns, those that the team's process computes.
  Range own(size_t n, size_t unit) const { return exchange == nullptr ? Range{0, n} : exchange->columns(n, unit); }
  // The team has computed its process's own columns of y: returns when all columns are there.
  void complete(View<float> y, size_t unit) const noexcept {
    sync();
    if (exchange == nullptr) return;
    if (rank == 0) exchange->gather(y, unit);
    sync();
  }
};

class Team {
 public:
  virtual ~Team() = default;
  virtual size_t size() const { return 1; }
  virtual bool is_alone() const { return true; }  // no other process computes with it

  // Calls f(Part) on every member, on the calling thread as rank 0; returns when all have returned. f must not throw.
  template <class F>
  void run(const F& f) {
    run_call([](const void* context, Part part) noexcept { (*static_cast<const F*>(context))(part); }, &f);
  }

 protected:
  using Call = void (*)(const void* context, Part part) noexcept;
  virtual void run_call(Call call, const void* context) { call(context, Part{}); }
};

}  // namespace wde
