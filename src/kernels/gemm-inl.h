// The GEMM tile of one instruction set, shared by the GEMMs and attention.cc; included once per target by
// Highway's foreach_target.
#if defined(WDE_KERNELS_GEMM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WDE_KERNELS_GEMM_INL_H_
#undef WDE_KERNELS_GEMM_INL_H_
#else
#define WDE_KERNELS_GEMM_INL_H_
#endif

#include <hwy/highway.h>

#include <array>
#include <utility>

#include "kernels/gemm.h"
#include "kernels/partial-inl.h"
#include "kernels/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace wde::kernels {
namespace HWY_NAMESPACE {
// B as the tile reads it: row kk, column c is at data[kk * row_stride + (c / 16) * panel_stride + c % 16].
struct TileB {
  const float* data;
  size_t row_stride;    // 16 in a packed panel
  size_t panel_stride;  // 16 k between packed panels, 16 in a plain row-major matrix
  // What the tile pulls into the caches while it computes: the columns that come next, else its own (which costs
  // nothing). A small batch streams the weights from memory, and the hardware's prefetcher sees a new panel too late.
  // The hint is for all levels: with that for the L2 cache alone a short text takes 4 to 10 % longer (Zen 5).
  const float* ahead;
};

struct TileC {
  float* data;
  size_t stride;
  const float* bias;      // [tile's columns, padded] or nullptr
  const float* residual;  // or nullptr
  size_t residual_stride;
  const float* row_scale;  // [rows] or nullptr: the product is multiplied by it, before bias and residual

  // From that row and column on.
  HWY_INLINE TileC at(size_t row, size_t col) const {
    return {data + row * stride + col,
            stride,
            bias == nullptr ? nullptr : bias + col,
            residual == nullptr ? nullptr : residual + row * residual_stride + col,
            residual_stride,
            row_scale == nullptr ? nullptr : row_scale + row};
  }
};

// The accumulators += A * B; formats of B have their own (gemm_bf16.cc).
template <size_t kRows, size_t kVectors>
HWY_INLINE void accumulate(const float* HWY_RESTRICT a, size_t lda, const TileB& b, size_t k,
                           TileVector (&acc)[kRows * kVectors]) {
  const float* HWY_RESTRICT b_row = b.data;
  const ptrdiff_t ahead = b.ahead - b.data;
  for (size_t kk = 0; kk < k; ++kk, b_row += b.row_stride) {
    TileVector bv[kVectors];
#pragma GCC unroll 16
    for (size_t v = 0; v < kVectors; ++v) {
      const float* p = b_row + v * kLanes / kPanelCols * b.panel_stride;
      if (v * kLanes % kPanelCols == 0) __builtin_prefetch(p + ahead, 0, 3);
      bv[v] = hn::LoadU(TileTag(), p + v * kLanes % kPanelCols);
    }
    accumulate_row<kRows, kVectors>(a + kk, lda, bv, acc);
  }
}

// C[kRows, cols] = the accumulators, with what C asks for.
template <size_t kRows, size_t kVectors>
HWY_INLINE void store_tile(const TileVector (&acc)[kRows * kVectors], size_t cols, const TileC& c) {
  const TileTag d;
  const bool whole = cols == kVectors * kLanes;
  if (whole && c.row_scale == nullptr && c.bias == nullptr && c.residual == nullptr) {
#pragma GCC unroll 16
    for (size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
      for (size_t v = 0; v < kVectors; ++v) hn::StoreU(acc[r * kVectors + v], d, c.data + r * c.stride + v * kLanes);
    }
    return;
  }
#pragma GCC unroll 16
  for (size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (size_t v = 0; v < kVectors; ++v) {
      TileVector x = acc[r * kVectors + v];
      const size_t col = v * kLanes;
      if (c.row_scale != nullptr) x = hn::Mul(x, hn::Set(d, c.row_scale[r]));
      if (c.bias != nullptr) x = hn::Add(x, hn::LoadU(d, c.bias + col));
      float* out = c.data + r * c.stride + col;
      if (whole) {
        if (c.residual != nullptr) x = hn::Add(x, hn::LoadU(d, c.residual + r * c.residual_stride + col));
        hn::StoreU(x, d, out);
      } else if (col < cols) {
        if (c.residual != nullptr) x = hn::Add(x, load_first(d, c.residual + r * c.residual_stride + col, cols - col));
        store_first(x, d, out, cols - col);
      }
    }
  }
}

// `tiles` tiles one below the other: C[tiles * kRows, cols], cols <= kVectors * kLanes.
template <class B, size_t kRows, size_t kVectors>
void column_of_tiles(const float* HWY_RESTRICT a, size_t lda, const B& b, size_t k, size_t cols, TileC c,
                     size_t tiles) {
  B b_tile = b;
  for (; tiles > 0; --tiles, a += kRows * lda) {
    b_tile.ahead = tiles == 1 ? b.ahead : b.data;
    // What the sums will be stored to, while they are computed: the rows of C come from the L2 cache or beyond.
#pragma GCC unroll 16
    for (size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
      for (size_t v = 0; v < kVectors; v += kNarrowVectors)
        __builtin_prefetch(c.data + r * c.stride + v * kLanes, 1, 3);
    }
    TileVector acc[kRows * kVectors];
#pragma GCC unroll 64
    for (size_t i = 0; i < kRows * kVectors; ++i) acc[i] = hn::Zero(TileTag());
    accumulate<kRows, kVectors>(a, lda, b_tile, k, acc);
    store_tile<kRows, kVectors>(acc, cols, c);
    c = c.at(kRows, 0);
  }
}

template <class B>
using TileFunction = void (*)(const float*, size_t, const B&, size_t, size_t, TileC, size_t);

template <class B, size_t kVectors, size_t... kRowsLessOne>
constexpr std::array<TileFunction<B>, sizeof...(kRowsLessOne)> tile_table(std::index_sequence<kRowsLessOne...>) {
  return {&column_of_tiles<B, kRowsLessOne + 1, kVectors>...};
}

template <class B>
inline constexpr auto kWideTiles = tile_table<B, kTileVectors>(std::make_index_sequence<kTileRows>());
template <class B>
inline constexpr auto kNarrowTiles = tile_table<B, kNarrowVectors>(std::make_index_sequence<kTileRows>());

template <class B>
HWY_INLINE TileFunction<B> tile_for(size_t rows, size_t cols) {
  return (cols > kPanelCols ? kWideTiles<B> : kNarrowTiles<B>)[rows - 1];
}

// Where piece i of m rows begins; pieces are as even as can be: a short last one would starve the FMA ports.
HWY_INLINE size_t share_begin(size_t m, size_t pieces, size_t i) { return m * i / pieces; }

// All rows and columns of C[m, n] from row-major A.
template <class B>
HWY_INLINE void tile_rows(const float* a, size_t lda, const B& b, size_t m, size_t n, size_t k, const TileC& c) {
  // As even as can be: `taller` tiles have one row more.
  const size_t tiles = (m + kTileRows - 1) / kTileRows, rows = m / tiles, taller = m % tiles;
  const size_t taller_rows = taller * (rows + 1);
  for (size_t col = 0; col < n; col += kTileCols) {
    const size_t cols = HWY_MIN(kTileCols, n - col);
    B b_tile = b;
    b_tile.data = b_tile.ahead = b.data + col / kPanelCols * b.panel_stride;
    if (taller > 0) tile_for<B>(rows + 1, cols)(a, lda, b_tile, k, cols, c.at(0, col), taller);
    b_tile.ahead = col + kTileCols < n ? b_tile.data + kTileCols / kPanelCols * b.panel_stride : b.ahead;
    tile_for<B>(rows, cols)(a + taller_rows * lda, lda, b_tile, k, cols, c.at(taller_rows, col), tiles - taller);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace wde::kernels
HWY_AFTER_NAMESPACE();

#endif  // WDE_KERNELS_GEMM_INL_H_
