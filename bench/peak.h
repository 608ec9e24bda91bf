// The yardstick of the benchmarks: how many operations a second this machine does in a loop of nothing but fused
// multiply-adds (float32) or products of bytes (int8), on the instruction set that the kernels use and with as many
// cores busy as the benchmark keeps busy. Measured in the same run, since clock, turbo and neighbours change from run
// to run.
#pragma once

#include <benchmark/benchmark.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "kernels/dispatch.h"
#include "kernels/gemm_int8.h"

namespace wde::bench {

// Of the calling thread's processor time, not of the wall clock: the kernels never wait, so on a quiet machine both are
// the same, and on a busy one the time that others had does not count.
inline double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Chains of dependent operations: more than latency times ports of any core so far (4 x 2, 5 x 2), few enough for 16
// registers.
inline constexpr size_t kChains = 12;

#if defined(__x86_64__)
[[gnu::target("avx512f")]] inline double fma_loop_avx512(size_t rounds) {
  __m512 sums[kChains];
  const __m512 a = _mm512_set1_ps(0.9999f), b = _mm512_set1_ps(1e-4f);
  for (__m512& s : sums) s = _mm512_set1_ps(1.0f);
  for (size_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 16
    for (size_t c = 0; c < kChains; ++c) sums[c] = _mm512_fmadd_ps(sums[c], a, b);
  }
  for (size_t c = 0; c < kChains; ++c) benchmark::DoNotOptimize(sums[c]);
  return 16.0 * 2 * kChains * static_cast<double>(rounds);
}

[[gnu::target("avx2,fma")]] inline double fma_loop_avx2(size_t rounds) {
  __m256 sums[kChains];
  const __m256 a = _mm256_set1_ps(0.9999f), b = _mm256_set1_ps(1e-4f);
  for (__m256& s : sums) s = _mm256_set1_ps(1.0f);
  for (size_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 16
    for (size_t c = 0; c < kChains; ++c) sums[c] = _mm256_fmadd_ps(sums[c], a, b);
  }
  for (size_t c = 0; c < kChains; ++c) benchmark::DoNotOptimize(sums[c]);
  return 8.0 * 2 * kChains * static_cast<double>(rounds);
}

// Products of bytes, four to a sum of 32 bits, by VNNI. asm: GCC 12 keeps the sums of the intrinsic in memory.
[[gnu::target("avx512f,avx512vnni")]] inline double byte_loop_avx512(size_t rounds) {
  __m512i sums[kChains];
  const __m512i a = _mm512_set1_epi32(0x01020304);
#pragma GCC unroll 16
  for (size_t c = 0; c < kChains; ++c) sums[c] = _mm512_set1_epi32(0);
  for (size_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 16
    for (size_t c = 0; c < kChains; ++c) asm volatile("vpdpbusd %1, %1, %0" : "+v"(sums[c]) : "v"(a));
  }
#pragma GCC unroll 16
  for (size_t c = 0; c < kChains; ++c) asm volatile("" ::"v"(sums[c]));
  return 64.0 * 2 * kChains * static_cast<double>(rounds);
}

[[gnu::target("avx2")]] inline double byte_loop_avx_vnni(size_t rounds) {
  __m256i sums[kChains];
  const __m256i a = _mm256_set1_epi32(0x01020304);
#pragma GCC unroll 16
  for (size_t c = 0; c < kChains; ++c) sums[c] = _mm256_set1_epi32(0);
  for (size_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 16
    for (size_t c = 0; c < kChains; ++c) asm volatile("%{vex%} vpdpbusd %1, %1, %0" : "+x"(sums[c]) : "x"(a));
  }
#pragma GCC unroll 16
  for (size_t c = 0; c < kChains; ++c) asm volatile("" ::"x"(sums[c]));
  return 32.0 * 2 * kChains * static_cast<double>(rounds);
}
#endif

// Four lanes of whatever the compiler was told to build for: NEON, SSE2.
inline double fma_loop_generic(size_t rounds) {
  typedef float Vector [[gnu::vector_size(16)]];
  Vector sums[kChains];
  const Vector a = {0.9999f, 0.9999f, 0.9999f, 0.9999f}, b = {1e-4f, 1e-4f, 1e-4f, 1e-4f};
  for (Vector& s : sums) s = Vector{1, 1, 1, 1};
  for (size_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 16
    for (size_t c = 0; c < kChains; ++c) sums[c] = sums[c] * a + b;
  }
  for (size_t c = 0; c < kChains; ++c) benchmark::DoNotOptimize(sums[c]);
  return 4.0 * 2 * kChains * static_cast<double>(rounds);
}

// Returns the floating-point operations that it did.
using FmaLoop = double (*)(size_t rounds);
inline FmaLoop fma_loop() {
#if defined(__x86_64__)
  const std::string target = kernels::active_target();
  if (target.rfind("AVX3", 0) == 0) return fma_loop_avx512;  // Highway's name for AVX-512
  if (target == "AVX2") return fma_loop_avx2;
#endif
  return fma_loop_generic;
}

// nullptr where bytes are multiplied by other instructions than VNNI's: the float32 peak is the yardstick then.
inline FmaLoop byte_loop() {
#if defined(__x86_64__)
  if (kernels::int8_kernel() == "AVX512-VNNI") return byte_loop_avx512;
  if (kernels::int8_kernel() == "AVX-VNNI") return byte_loop_avx_vnni;
#endif
  return nullptr;
}

// The best of several short stretches of one thread, in GFLOP/s, while the others run too.
inline double best_stretch(FmaLoop loop, std::atomic<size_t>& missing) {
  missing.fetch_sub(1);
  while (missing.load() != 0) std::this_thread::yield();
  double best = 0;
  for (int i = 0; i < 20; ++i) {
    const double begin = thread_seconds();
    const double flops = loop(500'000);
    best = std::max(best, flops / (thread_seconds() - begin) * 1e-9);
  }
  return best;
}

// All threads together, in GFLOP/s; measured once for each number of threads.
inline double peak_gflops(size_t threads, FmaLoop loop = fma_loop()) {
  static std::mutex mutex;
  static std::map<std::pair<size_t, FmaLoop>, double> measured;
  std::scoped_lock lock(mutex);
  if (const auto it = measured.find({threads, loop}); it != measured.end()) return it->second;
  std::atomic<size_t> missing = threads;
  std::vector<double> best(threads);
  std::vector<std::thread> others;
  for (size_t t = 1; t < threads; ++t) others.emplace_back([&, t] { best[t] = best_stretch(loop, missing); });
  best[0] = best_stretch(loop, missing);
  for (std::thread& thread : others) thread.join();
  double sum = 0;
  for (double b : best) sum += b;
  return measured[{threads, loop}] = sum;
}

// Runs `pass`, which does `flops` operations, for the length of the benchmark and reports what was reached. Rates of
// several threads add up; each is measured over its own time.
template <class Pass>
void measure_flops(benchmark::State& state, double flops, const Pass& pass, FmaLoop loop = fma_loop()) {
  // The others wait at the start of the loop meanwhile.
  const double peak = state.thread_index() == 0 ? peak_gflops(static_cast<size_t>(state.threads()), loop) : 0;
  pass();
  double begin = 0;
  bool started = false;
  for (auto _ : state) {
    if (!started) begin = thread_seconds(), started = true;
    pass();
  }
  const double rate = flops * static_cast<double>(state.iterations()) / (thread_seconds() - begin) * 1e-9;
  state.counters["GFLOP/s"] = rate;
  state.counters["percent_of_peak"] = 100 * rate / peak_gflops(static_cast<size_t>(state.threads()), loop);
  if (state.thread_index() == 0) state.counters["peak_GFLOP/s"] = peak;
}

}  // namespace wde::bench
