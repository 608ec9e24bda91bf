#include "base/team.h"

#include <sched.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace wde {

namespace {
// About 20 microseconds on a 3 GHz core: longer than the members of a team lag behind each other, shorter than a time
// slice.
constexpr int kSpins = 1000;

void pause() noexcept {
#if defined(__x86_64__)
  _mm_pause();
#endif
}
}  // namespace

void wait_for_change(const std::atomic<uint32_t>& value, uint32_t old) noexcept {
  for (int i = 0; i < kSpins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    pause();
  }
  value.wait(old, std::memory_order_acquire);
}

void poll_for_change(const std::atomic<uint32_t>& value, uint32_t old, std::chrono::microseconds patience) noexcept {
  const auto end = std::chrono::steady_clock::now() + patience;
  do {
    for (int i = 0; i < 16; ++i) {
      if (value.load(std::memory_order_acquire) != old) return;
      pause();
    }
    sched_yield();
  } while (std::chrono::steady_clock::now() < end);
}

void Barrier::arrive_and_wait() noexcept {
  const uint32_t generation = generation_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == members_) {
    arrived_.store(0, std::memory_order_relaxed);
    generation_.store(generation + 1, std::memory_order_release);
    generation_.notify_all();
    return;
  }
  wait_for_change(generation_, generation);
}

}  // namespace wde
