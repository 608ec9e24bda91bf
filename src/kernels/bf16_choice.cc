#include "kernels/bf16_choice.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>

#include <fmt/format.h>

#include "kernels/amx.h"

namespace wde::kernels {
namespace {

enum Kernel : int { kFloat32, kPairs, kAmx, kNone };
constexpr const char* kNames[] = {"FLOAT32", "AVX512-BF16", "AMX-BF16"};
constexpr const char* kVariable = "WDE_BFLOAT16_KERNEL";
// Pairs are chosen below it. At 2 they would be as fast as FMAs, and less exact.
constexpr double kMostFmas = 1.5;

#if defined(__x86_64__)
bool has_pairs() noexcept {
  return __builtin_cpu_supports("avx512bf16") != 0 && __builtin_cpu_supports("avx512f") != 0 &&
         __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
         __builtin_cpu_supports("avx512vl") != 0;
}

// Independent sums in 24 registers, more than the latency of either instruction needs; all operands are zeros.
#define WDE_24_SUMS(op)                                                                                                \
  op(8) op(9) op(10) op(11) op(12) op(13) op(14) op(15) op(16) op(17) op(18) op(19) op(20) op(21) op(22) op(23) op(24) \
      op(25) op(26) op(27) op(28) op(29) op(30) op(31)
#define WDE_CLEAR(n) "vpxord %%zmm" #n ", %%zmm" #n ", %%zmm" #n "\n"
#define WDE_PAIR(n) "vdpbf16ps %%zmm0, %%zmm1, %%zmm" #n "\n"
#define WDE_FMA(n) "vfmadd231ps %%zmm0, %%zmm1, %%zmm" #n "\n"
#define WDE_LOOP(op)                                                                                                \
  asm volatile(WDE_CLEAR(0) WDE_CLEAR(1) WDE_24_SUMS(WDE_CLEAR) "1:\n" WDE_24_SUMS(op) "dec %0\njnz 1b\n"           \
               : "+r"(rounds)                                                                                       \
               :                                                                                                    \
               : "zmm0", "zmm1", "zmm8", "zmm9", "zmm10", "zmm11", "zmm12", "zmm13", "zmm14", "zmm15", "zmm16",     \
                 "zmm17", "zmm18", "zmm19", "zmm20", "zmm21", "zmm22", "zmm23", "zmm24", "zmm25", "zmm26", "zmm27", \
                 "zmm28", "zmm29", "zmm30", "zmm31", "cc")
__attribute__((target("avx512f"))) void multiply_pairs(size_t rounds) { WDE_LOOP(WDE_PAIR); }
__attribute__((target("avx512f"))) void multiply_add(size_t rounds) { WDE_LOOP(WDE_FMA); }

double seconds_of(void (*loop)(size_t)) {
  constexpr size_t kRounds = 400;  // some microseconds: few runs are disturbed, and the clock costs nothing beside
  const auto begin = std::chrono::steady_clock::now();
  loop(kRounds);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double measured_cost() {
  if (!has_pairs()) return 0;
  double pairs = 1, fmas = 1;
  for (int run = 0; run < 16; ++run) {  // in turn, so that both see the same clock rate
    pairs = std::min(pairs, seconds_of(multiply_pairs));
    fmas = std::min(fmas, seconds_of(multiply_add));
  }
  return pairs / fmas;
}
#else
bool has_pairs() noexcept { return false; }
double measured_cost() { return 0; }
#endif

bool runs(Kernel kernel) noexcept { return kernel == kFloat32 || (has_pairs() && (kernel == kPairs || amx_bf16())); }

std::string asked() {
  const char* const value = std::getenv(kVariable);
  return value != nullptr ? value : "";
}

// kNone: there is none of this name, or the CPU does not have it.
Kernel runnable(const std::string& name) {
  for (const Kernel kernel : {kAmx, kPairs, kFloat32}) {
    if (name == kNames[kernel] && runs(kernel)) return kernel;
  }
  return kNone;
}

std::atomic<Kernel> forced{kNone};
Kernel named() noexcept {
  static const Kernel by_environment = runnable(asked());
  const Kernel by_test = forced.load(std::memory_order_relaxed);
  return by_test != kNone ? by_test : by_environment;
}

bool pairs_are_fast() noexcept { return has_pairs() && bf16_pair_cost() < kMostFmas; }

Kernel kernel_of_linears() noexcept {
  if (named() != kNone) return named();
  if (runs(kAmx)) return kAmx;
  return pairs_are_fast() ? kPairs : kFloat32;
}

}  // namespace

double bf16_pair_cost() noexcept {
  static const double cost = measured_cost();
  return cost;
}

bool bf16_pairs() noexcept { return kernel_of_linears() != kFloat32; }

bool bf16_tiles() noexcept { return kernel_of_linears() == kAmx; }

bool bf16_attention() noexcept {
  const Kernel kernel = named();
  return kernel == kPairs || (kernel != kFloat32 && pairs_are_fast());
}

std::string bf16_kernel() { return kNames[kernel_of_linears()]; }

std::vector<std::string> bf16_runnable() {
  std::vector<std::string> out;
  for (const Kernel kernel : {kAmx, kPairs, kFloat32}) {
    if (runs(kernel)) out.emplace_back(kNames[kernel]);
  }
  return out;
}

std::string bf16_reason() {
  if (named() != kNone) return fmt::format("{} asks for it", kVariable);
  if (!has_pairs()) return "this CPU has no instruction for products of bfloat16";
  return fmt::format("an instruction of AVX512-BF16 takes the time of {:.1f} FMAs here and does the work of 2",
                     bf16_pair_cost());
}

std::string bf16_setting_problem() {
  if (asked().empty() || runnable(asked()) != kNone) return "";
  return fmt::format("{} is '{}': expected a kernel that this CPU runs, one of {}", kVariable, asked(),
                     fmt::join(bf16_runnable(), ", "));
}

void force_bf16_kernel(const std::string& name) { forced = runnable(name); }

}  // namespace wde::kernels
