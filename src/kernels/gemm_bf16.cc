#include "kernels/gemm_bf16.h"

#include "kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm_bf16.cc"  // NOLINT
#include <hwy/foreach_target.h>                    // NOLINT(build/include_order)

#include <bit>

#include "kernels/gemm_blocks-inl.h"
#include "kernels/pack_columns.h"

HWY_BEFORE_NAMESPACE();
namespace wde::kernels {
namespace HWY_NAMESPACE {

// B in bfloat16, packed: rows 2 kk and 2 kk + 1 of column c are the low and the high half of the 32 bits at
// data[kk * 32 + (c / 16) * panel_stride + 2 (c % 16)].
struct TileB16 {
  const uint16_t* data;
  size_t panel_stride;  // 16 k, k rounded up to 2
  const uint16_t* ahead;
};

// The same chains of operations as float32's on the weights' values.
template <size_t kRows, size_t kVectors>
HWY_INLINE void accumulate(const float* HWY_RESTRICT a, size_t lda, const TileB16& b, size_t k,
                           TileVector (&acc)[kRows * kVectors]) {
  const TileTag d;
  const hn::RebindToUnsigned<TileTag> du;
  const uint16_t* HWY_RESTRICT pair = b.data;
  const ptrdiff_t ahead = b.ahead - b.data;
  for (size_t kk = 0; kk < k; kk += 2, pair += 2 * kPanelCols) {
    TileVector bv[kVectors];
#pragma GCC unroll 16
    for (size_t v = 0; v < kVectors; ++v) {
      const uint16_t* p = pair + v * kLanes / kPanelCols * b.panel_stride;
      if (v * kLanes % kPanelCols == 0) __builtin_prefetch(p + ahead, 0, 3);
      const auto both = hn::LoadU(du, reinterpret_cast<const uint32_t*>(p) + v * kLanes % kPanelCols);
      bv[v] = hn::BitCast(d, hn::ShiftLeft<16>(both));
    }
    accumulate_row<kRows, kVectors>(a + kk, lda, bv, acc);
    if (kk + 1 == k) break;
    // Loaded again: kept over the first row, both vectors would take the registers of two accumulators, and on AVX2 the
    // sums that go through memory then halve the speed.
    const uint16_t* again = pair;
    asm("" : "+r"(again));
#pragma GCC unroll 16
    for (size_t v = 0; v < kVectors; ++v) {
      const uint16_t* p = again + v * kLanes / kPanelCols * b.panel_stride;
      const auto both = hn::LoadU(du, reinterpret_cast<const uint32_t*>(p) + v * kLanes % kPanelCols);
      bv[v] = hn::BitCast(d, hn::And(both, hn::Set(du, 0xffff0000u)));
    }
    accumulate_row<kRows, kVectors>(a + kk + 1, lda, bv, acc);
  }
}

void gemm_bf16_target(const float* a, size_t lda, const uint16_t* packed_b, float* c, size_t ldc, size_t m, size_t n,
                      size_t k, const GemmEpilogue& e) {
  gemm_blocks(a, lda, TileB16{packed_b, kPanelCols * ((k + 1) / 2 * 2), packed_b}, c, ldc, m, n, k, e);
}

}  // namespace HWY_NAMESPACE
}  // namespace wde::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace wde::kernels {
HWY_EXPORT(gemm_bf16_target);

void gemm_bf16(const float* a, size_t lda, const uint16_t* packed_b, float* c, size_t ldc, size_t m, size_t n, size_t k,
               const GemmEpilogue& epilogue) noexcept {
  HWY_DYNAMIC_DISPATCH(gemm_bf16_target)(a, lda, packed_b, c, ldc, m, n, k, epilogue);
}

namespace {
// Not to_bf16() itself, which as the library's own function is called for every weight.
inline uint16_t rounded(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}
}  // namespace

uint16_t to_bf16(float x) noexcept { return rounded(x); }

void pack_weight_bf16(const float* w, size_t n, size_t k, size_t first_column, uint16_t* packed) noexcept {
  pack_columns<2>(w, n, k, first_column, packed, [](float x) { return rounded(x); });
}
}  // namespace wde::kernels
#endif
