// What this machine can do at most, for the roofline of bench/peers/scoreboard: one JSON object with the FMA peak of
// one core and of all, the peak of byte products (0: no such instruction), the rate at which all cores read memory, and
// for bench/serve/report.py the milliseconds in which they read MEGABYTES 324 times a second.
//
//   bench_peak [CORES [MEGABYTES]]
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <thread>
#include <vector>

#include "base/view.h"
#include "peak.h"

namespace {

using Clock = std::chrono::steady_clock;

// One word of each cache line, as whole lines travel, and 2 KiB ahead, so that more of them are under way than a core's
// window of instructions holds.
void read_block(const float* block, size_t floats) {
  constexpr size_t kLine = 64 / sizeof(float);
  uint32_t sum = 0;
  for (size_t i = 0; i + kLine <= floats; i += kLine) {
    __builtin_prefetch(block + i + 32 * kLine);
    sum += std::bit_cast<uint32_t>(block[i]);
  }
  benchmark::DoNotOptimize(sum);
}

// GB/s that `threads` threads together read from blocks far larger than any cache; the best of several passes.
double read_gigabytes(size_t threads) {
  constexpr size_t kFloats = size_t{64} << 20;  // 256 MiB a thread
  std::vector<float> data(kFloats * threads, 1.0f);
  double best = 0;
  for (int pass = 0; pass < 5; ++pass) {
    const auto begin = Clock::now();
    std::vector<std::thread> readers;
    for (size_t t = 0; t < threads; ++t) readers.emplace_back(read_block, data.data() + t * kFloats, kFloats);
    for (std::thread& reader : readers) reader.join();
    const std::chrono::duration<double> seconds = Clock::now() - begin;
    best = std::max(best, static_cast<double>(4 * kFloats * threads) / seconds.count() * 1e-9);
  }
  return best;
}

// Milliseconds, sorted, in which `threads` threads together read the same `bytes`, 324 times a second: what a short
// text costs a server in memory alone, and how far that moves. All spin, so that the time in which a thread wakes is
// not in it.
std::vector<double> read_again(size_t threads, size_t bytes) {
  constexpr size_t kPasses = 3000;
  constexpr std::chrono::duration<double> kPeriod(1.0 / 324);
  const size_t floats = bytes / threads / sizeof(float);
  const wde::AlignedBuffer data(bytes);
  std::fill_n(data.floats(), bytes / sizeof(float), 1.0f);
  std::atomic<size_t> begun = 0, ended = 0;
  std::vector<std::thread> others;
  for (size_t t = 1; t < threads; ++t) {
    others.emplace_back([&, block = data.floats() + t * floats] {
      for (size_t pass = 1; pass <= kPasses; ++pass) {
        while (begun.load() < pass) {
        }
        read_block(block, floats);
        ended.fetch_add(1);
      }
    });
  }
  std::vector<double> times;
  const auto start = Clock::now();
  for (size_t pass = 1; pass <= kPasses; ++pass) {
    while (Clock::now() < start + static_cast<double>(pass) * kPeriod) {
    }
    const auto begin = Clock::now();
    begun.store(pass);
    read_block(data.floats(), floats);
    while (ended.load() < pass * (threads - 1)) {
    }
    times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - begin).count());
  }
  for (std::thread& other : others) other.join();
  std::sort(times.begin(), times.end());
  return times;
}

}  // namespace

int main(int argc, char** argv) {
  const size_t cores = argc > 1 ? static_cast<size_t>(std::atoi(argv[1])) : std::thread::hardware_concurrency();
  using wde::bench::peak_gflops;
  const auto bytes = wde::bench::byte_loop();
  fmt::print(R"({{"cores":{},"fma_gflops_one_core":{:.1f},"fma_gflops":{:.1f},"byte_gops":{:.1f},"read_gb_s":{:.1f})",
             cores, peak_gflops(1), peak_gflops(cores), bytes ? peak_gflops(cores, bytes) : 0, read_gigabytes(cores));
  if (argc > 2) {
    const size_t megabytes = static_cast<size_t>(std::atoi(argv[2]));
    const std::vector<double> again = read_again(cores, megabytes * 1'000'000);
    fmt::print(R"(,"again_p50_ms":{:.3f},"again_p99_ms":{:.3f})", again[again.size() / 2],
               again[again.size() * 99 / 100]);
  }
  fmt::print("}}\n");
}
