#include "kernels/gemm_f16.h"

#include "kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm_f16.cc"  // NOLINT
#include <hwy/foreach_target.h>                   // NOLINT(build/include_order)

#include <bit>

#include "kernels/dispatch.h"
#include "kernels/gemm_blocks-inl.h"
#include "kernels/pack_columns.h"

HWY_BEFORE_NAMESPACE();
namespace wde::kernels {
namespace HWY_NAMESPACE {

// As TileB in packed panels.
struct TileF16 {
  const uint16_t* data;
  size_t panel_stride;
  const uint16_t* ahead;
};

template <size_t kRows, size_t kVectors>
HWY_INLINE void accumulate(const float* HWY_RESTRICT a, size_t lda, const TileF16& b, size_t k,
                           TileVector (&acc)[kRows * kVectors]) {
  const TileTag d;
  const hn::Rebind<hwy::float16_t, TileTag> d16;
  const uint16_t* HWY_RESTRICT b_row = b.data;
  const ptrdiff_t ahead = b.ahead - b.data;
  for (size_t kk = 0; kk < k; ++kk, b_row += kPanelCols) {
    TileVector bv[kVectors];
#pragma GCC unroll 16
    for (size_t v = 0; v < kVectors; ++v) {
      const uint16_t* p = b_row + v * kLanes / kPanelCols * b.panel_stride;
      if (v * kLanes % kPanelCols == 0) __builtin_prefetch(p + ahead, 0, 3);
      bv[v] = hn::PromoteTo(d, hn::LoadU(d16, reinterpret_cast<const hwy::float16_t*>(p) + v * kLanes % kPanelCols));
    }
    accumulate_row<kRows, kVectors>(a + kk, lda, bv, acc);
  }
}

void gemm_f16_target(const float* a, size_t lda, const uint16_t* packed_b, float* c, size_t ldc, size_t m, size_t n,
                     size_t k, const GemmEpilogue& e) {
  gemm_blocks(a, lda, TileF16{packed_b, kPanelCols * k, packed_b}, c, ldc, m, n, k, e);
}

}  // namespace HWY_NAMESPACE
}  // namespace wde::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace wde::kernels {
HWY_EXPORT(gemm_f16_target);

void gemm_f16(const float* a, size_t lda, const uint16_t* packed_b, float* c, size_t ldc, size_t m, size_t n, size_t k,
              const GemmEpilogue& epilogue) noexcept {
  HWY_DYNAMIC_DISPATCH(gemm_f16_target)(a, lda, packed_b, c, ldc, m, n, k, epilogue);
}

namespace {
// Not to_f16() itself, which as the library's own function is called for every weight.
inline uint16_t half_of(float x) {
  constexpr uint32_t kDropped = 23 - 10, kBias = 127 - 15;  // bits of the fraction; between the exponents
  const auto bits = std::bit_cast<uint32_t>(x);
  const uint32_t sign = bits >> 16 & 0x8000, exponent = bits >> 23 & 0xff, fraction = bits & 0x7fffff;
  if (exponent > kBias && exponent < kBias + 31) {
    return static_cast<uint16_t>(sign | (exponent - kBias) << 10 | fraction >> kDropped);
  }
  if (exponent > kBias) return static_cast<uint16_t>(sign | 0x7c00 | (fraction != 0 ? 0x200 : 0));
  const uint32_t shift = kDropped + 1 + kBias - exponent;  // a denormal: the leading one is a digit of the fraction
  return static_cast<uint16_t>(shift > 24 ? sign : sign | (fraction | 0x800000) >> shift);
}
}  // namespace

uint16_t to_f16(float x) noexcept { return half_of(x); }

void pack_weight_f16(const float* w, size_t n, size_t k, size_t first_column, uint16_t* packed) noexcept {
  pack_columns<1>(w, n, k, first_column, packed, [](float x) { return half_of(x); });
}

bool widening_is_free() {
  const std::string target = active_target();
  return target.starts_with("AVX") || target.starts_with("NEON");
}
}  // namespace wde::kernels
#endif
