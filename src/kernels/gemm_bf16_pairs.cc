// Both operands in bfloat16: a row of A and a panel of B hold pairs of neighbours along k, 32 bits each. To the loops
// of the GEMM a pair is a float of which only the bits are moved.
#include "kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm_bf16_pairs.cc"  // NOLINT
#include <hwy/foreach_target.h>                          // NOLINT(build/include_order)

#include <atomic>

#include "kernels/gemm_bf16.h"
#include "kernels/gemm_blocks-inl.h"

HWY_BEFORE_NAMESPACE();
namespace wde::kernels {
namespace HWY_NAMESPACE {

struct TilePairs {
  const float* data;    // pair kk of column c is at data[kk * 16 + (c / 16) * panel_stride + c % 16]
  size_t panel_stride;  // 16 for each pair of k
  const float* ahead;
};

// sum + a.second * b.second, then + a.first * b.first, each rounded once: as the instruction does it (Intel's manual,
// VDPBF16PS), but for denormals, which it takes for zeros.
HWY_INLINE TileVector add_products(TileVector sum, TileVector a, TileVector b) {
#if HWY_ARCH_X86 && HWY_MAX_BYTES == 64
  // Not the intrinsic: the file is compiled for AVX-512 without it, and runs there only where the CPU has it.
  asm("vdpbf16ps %2, %1, %0" : "+v"(sum.raw) : "v"(a.raw), "v"(b.raw));
  return sum;
#else
  const TileTag d;
  const hn::RebindToUnsigned<TileTag> du;
  const auto a_bits = hn::BitCast(du, a), b_bits = hn::BitCast(du, b), second = hn::Set(du, 0xffff0000u);
  sum = hn::MulAdd(hn::BitCast(d, hn::And(a_bits, second)), hn::BitCast(d, hn::And(b_bits, second)), sum);
  return hn::MulAdd(hn::BitCast(d, hn::ShiftLeft<16>(a_bits)), hn::BitCast(d, hn::ShiftLeft<16>(b_bits)), sum);
#endif
}

template <size_t kRows, size_t kVectors>
HWY_INLINE void accumulate(const float* HWY_RESTRICT a, size_t lda, const TilePairs& b, size_t pairs,
                           TileVector (&acc)[kRows * kVectors]) {
  const TileTag d;
  const float* HWY_RESTRICT b_row = b.data;
  const ptrdiff_t ahead = b.ahead - b.data;
  for (size_t kk = 0; kk < pairs; ++kk, b_row += kPanelCols) {
    TileVector bv[kVectors];
#pragma GCC unroll 16
    for (size_t v = 0; v < kVectors; ++v) {
      const float* const p = b_row + v * kLanes / kPanelCols * b.panel_stride;
      if (v * kLanes % kPanelCols == 0) __builtin_prefetch(p + ahead, 0, 3);
      bv[v] = hn::LoadU(d, p + v * kLanes % kPanelCols);
    }
#pragma GCC unroll 16
    for (size_t r = 0; r < kRows; ++r) {
      const TileVector av = hn::Set(d, a[r * lda + kk]);
#pragma GCC unroll 16
      for (size_t v = 0; v < kVectors; ++v) acc[r * kVectors + v] = add_products(acc[r * kVectors + v], av, bv[v]);
    }
  }
}

void gemm_bf16_pairs_target(const Bf16Rows& a, const uint16_t* packed_b, float* c, size_t ldc, size_t m, size_t n,
                            size_t k, const GemmEpilogue& e) {
  const size_t pairs = (k + 1) / 2;
  const float* const b = reinterpret_cast<const float*>(packed_b);
  gemm_blocks(reinterpret_cast<const float*>(a.data), a.stride / 2, TilePairs{b, kPanelCols * pairs, b}, c, ldc, m, n,
              pairs, e);
}

// As to_bf16(). The half behind an odd row meets a weight of zero, and is zero itself.
void round_rows_target(const float* x, size_t x_stride, size_t rows, size_t k, const Bf16Rows& out) {
  const hn::CappedTag<float, 16> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  const hn::RebindToSigned<decltype(d)> di;
  const hn::Rebind<uint16_t, decltype(d)> d16;
  const size_t lanes = hn::Lanes(d);
  const auto round = [&](auto v) HWY_ATTR {
    const auto bits = hn::BitCast(du, v);
    const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1));
    const auto nearest = hn::Add(bits, hn::Add(hn::Set(du, 0x7fff), odd));
    // Of a NaN whose payload lies in the lower half, one that is left.
    const auto quiet = hn::Or(bits, hn::Set(du, 0x400000));
    const auto rounded = hn::IfThenElse(hn::RebindMask(du, hn::Eq(v, v)), nearest, quiet);
    return hn::DemoteTo(d16, hn::BitCast(di, hn::ShiftRight<16>(rounded)));
  };
  for (size_t row = 0; row < rows; ++row, x += x_stride) {
    uint16_t* const to = out.data + row * out.stride;
    size_t i = 0;
    for (; i + lanes <= k; i += lanes) hn::StoreU(round(hn::LoadU(d, x + i)), d16, to + i);
    // There is room behind a row for a vector, see bf16_row_stride().
    if (i < k || k % 2 != 0) hn::StoreU(round(load_first(d, x + i, k - i)), d16, to + i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace wde::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace wde::kernels {
HWY_EXPORT(gemm_bf16_pairs_target);
HWY_EXPORT(round_rows_target);

namespace {
bool cpu_has_pairs() noexcept {
#if HWY_ARCH_X86
  return __builtin_cpu_supports("avx512bf16") != 0;
#else
  return false;
#endif
}
std::atomic<bool> weights_only{false};
}  // namespace

bool bf16_pairs() noexcept {
  static const bool here = cpu_has_pairs() && (hwy::SupportedTargets() & HWY_AVX3) != 0;
  return here && !weights_only.load(std::memory_order_relaxed);
}
void force_bf16_weights_only(bool on) noexcept { weights_only = on; }

void round_rows(const float* x, size_t x_stride, size_t rows, size_t k, const Bf16Rows& out) noexcept {
  HWY_DYNAMIC_DISPATCH(round_rows_target)(x, x_stride, rows, k, out);
}

void gemm_bf16_pairs(const Bf16Rows& a, const uint16_t* packed_b, float* c, size_t ldc, size_t m, size_t n, size_t k,
                     const GemmEpilogue& epilogue) noexcept {
  HWY_DYNAMIC_DISPATCH(gemm_bf16_pairs_target)(a, packed_b, c, ldc, m, n, k, epilogue);
}
}  // namespace wde::kernels
#endif
