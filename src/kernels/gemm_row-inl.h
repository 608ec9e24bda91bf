// A step of the tile of a GEMM whose weights become float32 in registers; included once per target by Highway's
// foreach_target.
#if defined(WDE_KERNELS_GEMM_ROW_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WDE_KERNELS_GEMM_ROW_INL_H_
#undef WDE_KERNELS_GEMM_ROW_INL_H_
#else
#define WDE_KERNELS_GEMM_ROW_INL_H_
#endif

#include "kernels/gemm-inl.h"

HWY_BEFORE_NAMESPACE();
namespace wde::kernels {
namespace HWY_NAMESPACE {

// One row of B times one column of A.
template <size_t kRows, size_t kVectors>
HWY_INLINE void accumulate_row(const float* HWY_RESTRICT a, size_t lda, const TileVector (&bv)[kVectors],
                               TileVector (&acc)[kRows * kVectors]) {
  const TileTag d;
#pragma GCC unroll 16
  for (size_t r = 0; r < kRows; ++r) {
    const TileVector av = hn::Set(d, a[r * lda]);
#pragma GCC unroll 16
    for (size_t v = 0; v < kVectors; ++v) acc[r * kVectors + v] = hn::MulAdd(av, bv[v], acc[r * kVectors + v]);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace wde::kernels
HWY_AFTER_NAMESPACE();

#endif  // WDE_KERNELS_GEMM_ROW_INL_H_
