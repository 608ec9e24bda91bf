// The tile of a GEMM on one instruction set: its shape and its step; included once per target by Highway's
// foreach_target.
#if defined(WDE_KERNELS_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WDE_KERNELS_TILE_INL_H_
#undef WDE_KERNELS_TILE_INL_H_
#else
#define WDE_KERNELS_TILE_INL_H_
#endif

#include <hwy/highway.h>

#include "kernels/gemm.h"

HWY_BEFORE_NAMESPACE();
namespace wde::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using TileTag = hn::CappedTag<float, 16>;
using TileVector = hn::Vec<TileTag>;

// Tile shape by register file. The accumulators (rows x vectors) plus the vectors of a B row plus one broadcast fit the
// registers, and there are at least latency x FMA-ports chains.
#if HWY_TARGET == HWY_SCALAR
inline constexpr size_t kLanes = 1, kTileVectors = 16, kTileRows = 1;
#elif HWY_MAX_BYTES == 64  // AVX-512: 14 x 32, 28 of 32 registers
inline constexpr size_t kLanes = 16, kTileVectors = 2, kTileRows = 14;
#elif HWY_MAX_BYTES == 32  // AVX2: 6 x 16, 12 of 16 registers
inline constexpr size_t kLanes = 8, kTileVectors = 2, kTileRows = 6;
#elif HWY_ARCH_X86         // SSE4: 3 x 16, 12 of 16 registers
inline constexpr size_t kLanes = 4, kTileVectors = 4, kTileRows = 3;
#else                      // NEON: 6 x 16, 24 of 32 registers
inline constexpr size_t kLanes = 4, kTileVectors = 4, kTileRows = 6;
#endif
inline constexpr size_t kTileCols = kTileVectors * kLanes;  // 32 on AVX-512 (two panels), else 16
static_assert(kTileCols % kPanelCols == 0);
// Narrow tiles serve the last 16 columns where the full tile has 32.
inline constexpr size_t kNarrowVectors = kPanelCols / kLanes;

// The accumulators += one column of A times one row of B. The loops must be unrolled wholly: GCC 12 keeps an array that
// any rolled loop touches in memory, and the tile loses a quarter of its speed.
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

#endif  // WDE_KERNELS_TILE_INL_H_
