#include "kernels/gemm_int8.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <limits>

#include <fmt/format.h>

#include "kernels/amx.h"
#include "kernels/bf16_choice.h"
#include "kernels/int8_tiles.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace wde::kernels {

namespace {

// What every other kernel must compute; sums wrap around as those of the vector instructions do.
void portable_strip(const Int8Strip& s) {
  for (size_t row = 0; row < s.m; ++row) {
    const uint8_t* a = s.a.bytes(row);
    const QuantizedRow header = *s.a.header(row);
    uint32_t acc[kPanelCols];
    for (size_t j = 0; j < kPanelCols; ++j)
      acc[j] = 0u - static_cast<uint32_t>(header.zero) * static_cast<uint32_t>(s.b.sums[j]);
    const int8_t* b = s.b.weights;
    for (size_t g = 0; g < s.groups; ++g, a += 4, b += 4 * kPanelCols) {
      for (size_t j = 0; j < kPanelCols; ++j) {
        acc[j] +=
            static_cast<uint32_t>(a[0] * b[4 * j] + a[1] * b[4 * j + 1] + a[2] * b[4 * j + 2] + a[3] * b[4 * j + 3]);
      }
    }
    for (size_t j = 0; j < s.cols; ++j) {
      float x = static_cast<float>(static_cast<int32_t>(acc[j])) * header.scale * s.b.scales[j];
      if (s.bias != nullptr) x += s.bias[j];
      if (s.residual != nullptr) x += s.residual[row * s.residual_stride + j];
      s.c[row * s.ldc + j] = x;
    }
  }
}
constexpr Int8Kernel kPortable = {"PORTABLE", kPanelCols, portable_strip};

// Best first.
std::vector<const Int8Kernel*> compiled() {
  return {
#if defined(__x86_64__)
    int8_amx(), int8_avx512_vnni(), int8_avx_vnni(), int8_avx2(),
#elif defined(__aarch64__)
    int8_i8mm(), int8_dotprod(),
#endif
        &kPortable
  };
}

bool runs_here(const Int8Kernel* kernel) {
#if defined(__x86_64__)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (kernel == int8_amx() || kernel == int8_avx512_vnni()) {
    return (kernel != int8_amx() || amx_int8()) && avx2 && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
  }
  if (kernel == int8_avx_vnni()) {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    return avx2 && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax & (1u << 4)) != 0;
  }
  if (kernel == int8_avx2()) return avx2;
#elif defined(__aarch64__) && defined(__linux__)
  if (kernel == int8_i8mm()) return (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0;
  if (kernel == int8_dotprod()) return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#endif
  return kernel == &kPortable;
}

constexpr const char* kVariable = "WDE_INT8_KERNEL";
std::string asked() {
  const char* const value = std::getenv(kVariable);
  return value != nullptr ? value : "";
}

const Int8Kernel* best() {
  for (const Int8Kernel* kernel : compiled()) {
    if (asked() == kernel->name && runs_here(kernel)) return kernel;
  }
  for (const Int8Kernel* kernel : compiled()) {
    if (runs_here(kernel)) return kernel;
  }
  return &kPortable;
}

std::atomic<const Int8Kernel*>& chosen() noexcept {
  static std::atomic<const Int8Kernel*> kernel = best();
  return kernel;
}

// Nearest integer, ties to even, |x| < 2^22: the sum's last bit is worth one.
int32_t nearest(float x) { return std::bit_cast<int32_t>(x + 12582912.0f) - 0x4B400000; }

// One column's bytes, `together` by `together`, kPanelCols such groups apart.
void pack_column(const float* w, size_t k, size_t together, int8_t* out, float& scale, int32_t& sum) {
  constexpr float weight_max = 127;
  float max = 0, poison = 0;
  for (size_t kk = 0; kk < k; ++kk) {
    max = std::max(max, std::abs(w[kk]));
    poison += w[kk] * 0.0f;  // NaN with a NaN or an infinity
  }
  scale = max / weight_max + poison;
  const float inverse = max > 0 && poison == 0 ? weight_max / max : 0.0f;
  sum = 0;
  for (size_t kk = 0; kk < k; ++kk) {
    const int32_t value = poison == 0 ? nearest(std::clamp(w[kk] * inverse, -weight_max, weight_max)) : 0;
    out[kk / together * together * kPanelCols + kk % together] = static_cast<int8_t>(value);
    sum += value;
  }
}

std::vector<std::string> names(const std::vector<const Int8Kernel*>& kernels) {
  std::vector<std::string> out;
  for (const Int8Kernel* kernel : kernels) out.emplace_back(kernel->name);
  return out;
}

}  // namespace

std::vector<std::string> int8_compiled() { return names(compiled()); }
std::vector<std::string> int8_runnable() {
  std::vector<const Int8Kernel*> kernels = compiled();
  std::erase_if(kernels, [](const Int8Kernel* kernel) { return !runs_here(kernel); });
  return names(kernels);
}
std::string int8_setting_problem() {
  const std::vector<std::string> runnable = int8_runnable();
  if (asked().empty() || std::find(runnable.begin(), runnable.end(), asked()) != runnable.end()) return "";
  return fmt::format("{} is '{}': expected a kernel that this CPU runs, one of {}", kVariable, asked(),
                     fmt::join(runnable, ", "));
}
std::string int8_kernel() { return chosen().load()->name; }
bool int8_in_pairs() { return chosen().load(std::memory_order_relaxed)->pairs; }

void force_int8_kernel(const std::string& name) {
  chosen() = best();
  for (const Int8Kernel* kernel : compiled()) {
    if (name == kernel->name && runs_here(kernel)) chosen() = kernel;
  }
}

void pack_weight_int8(const float* w, size_t n, size_t k, size_t first_column, const PackedInt8& packed) noexcept {
  const size_t together = int8_in_pairs() ? 2 : 4;
  for (size_t j = 0; j < n; ++j) {
    const size_t column = first_column + j;
    int8_t* panel = packed.weights + column / kPanelCols * 4 * kPanelCols * int8_groups(k);
    pack_column(w + j * k, k, together, panel + column % kPanelCols * together, packed.scales[column],
                packed.sums[column]);
  }
}

namespace {
// C is `c` or `rounded`.
void run_strips(const QuantizedRows& a, const PackedInt8& b, float* c, uint16_t* rounded, size_t ldc, size_t m,
                size_t n, size_t k, const GemmEpilogue& e) noexcept {
  if (m == 0 || n == 0) return;
  const Int8Kernel& kernel = *chosen().load(std::memory_order_relaxed);
  const size_t blocks = (m + kBlockRows - 1) / kBlockRows, groups = int8_groups(k);
  for (size_t block = 0; block < blocks; ++block) {
    const size_t row = m * block / blocks, rows = m * (block + 1) / blocks - row;
    for (size_t col = 0; col < n; col += kernel.tile_cols) {
      Int8Strip s;
      s.a = a.from_row(row);
      s.b = b.from_column(col, k);
      const size_t next = col + kernel.tile_cols;
      s.ahead = next < n                                   ? b.from_column(next, k).weights
                : block + 1 == blocks && e.next != nullptr ? static_cast<const int8_t*>(e.next)
                                                           : b.weights;
      s.c = c == nullptr ? nullptr : c + row * ldc + col;
      s.rounded = rounded == nullptr ? nullptr : rounded + row * ldc + col;
      s.ldc = ldc;
      s.bias = e.bias != nullptr ? e.bias + col : nullptr;
      s.residual = e.residual != nullptr ? e.residual + row * e.residual_stride + col : nullptr;
      s.residual_stride = e.residual_stride;
      s.m = rows;
      s.cols = std::min(kernel.tile_cols, n - col);
      s.groups = groups;
      kernel.strip(s);
      // While the columns are in the cache; see gemm.cc.
      if (e.activation != Activation::kNone) activate(e.activation, s.c, rows, s.cols, ldc);
    }
  }
}
}  // namespace

void gemm_int8(const QuantizedRows& a, const PackedInt8& b, float* c, size_t ldc, size_t m, size_t n, size_t k,
               const GemmEpilogue& epilogue) noexcept {
  run_strips(a, b, c, nullptr, ldc, m, n, k, epilogue);
}

bool int8_rounds() noexcept { return chosen().load(std::memory_order_relaxed)->rounds && bf16_attention(); }

void gemm_int8_rounded(const QuantizedRows& a, const PackedInt8& b, const Bf16Rows& c, size_t m, size_t n, size_t k,
                       const GemmEpilogue& epilogue) noexcept {
  GemmEpilogue e = epilogue;
  e.residual = nullptr;
  e.activation = Activation::kNone;
  run_strips(a, b, nullptr, c.data, c.stride, m, n, k, e);
}

}  // namespace wde::kernels
