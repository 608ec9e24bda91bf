// What this machine can do at most, for the roofline of bench/peers/scoreboard: one JSON object with the FMA peak of
// one core and of all, the peak of byte products (0: no such instruction), and the rate at which all cores read memory.
//
//   bench_peak [CORES]
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <vector>

#include "peak.h"

namespace {

// GB/s that `threads` threads together read from blocks far larger than any cache; the best of several passes.
double read_gigabytes(size_t threads) {
  constexpr size_t kFloats = size_t{64} << 20;  // 256 MiB a thread
  std::vector<float> data(kFloats * threads, 1.0f);
  double best = 0;
  for (int pass = 0; pass < 5; ++pass) {
    const auto begin = std::chrono::steady_clock::now();
    std::vector<std::thread> readers;
    for (size_t t = 0; t < threads; ++t) {
      readers.emplace_back([block = data.data() + t * kFloats] {
        typedef float Vector [[gnu::vector_size(64)]];
        Vector sums[4] = {};
        const auto* vectors =
            reinterpret_cast<const Vector*>(block);  // aligned: the block is a large allocation's page
        for (size_t i = 0; i < kFloats / 16; i += 4) {
          for (size_t k = 0; k < 4; ++k) {
            Vector v;
            __builtin_memcpy(&v, vectors + i + k, sizeof v);
            sums[k] += v;
          }
        }
        for (Vector& sum : sums) benchmark::DoNotOptimize(sum);
      });
    }
    for (std::thread& reader : readers) reader.join();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    best = std::max(best, static_cast<double>(4 * kFloats * threads) / seconds.count() * 1e-9);
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  const size_t cores = argc > 1 ? static_cast<size_t>(std::atoi(argv[1])) : std::thread::hardware_concurrency();
  using wde::bench::peak_gflops;
  const auto bytes = wde::bench::byte_loop();
  fmt::print(R"({{"cores":{},"fma_gflops_one_core":{:.1f},"fma_gflops":{:.1f},"byte_gops":{:.1f},"read_gb_s":{:.1f}}})",
             cores, peak_gflops(1), peak_gflops(cores), bytes ? peak_gflops(cores, bytes) : 0, read_gigabytes(cores));
  fmt::print("\n");
}
