// The loops of a GEMM over its tiles, for weights of any format; included once per target by Highway's foreach_target.
#if defined(WDE_KERNELS_GEMM_BLOCKS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WDE_KERNELS_GEMM_BLOCKS_INL_H_
#undef WDE_KERNELS_GEMM_BLOCKS_INL_H_
#else
#define WDE_KERNELS_GEMM_BLOCKS_INL_H_
#endif

#include "kernels/activation-inl.h"
#include "kernels/gemm-inl.h"

HWY_BEFORE_NAMESPACE();
namespace wde::kernels {
namespace HWY_NAMESPACE {

template <class B>
HWY_INLINE void gemm_blocks(const float* a, size_t lda, B b, float* c, size_t ldc, size_t m, size_t n, size_t k,
                            const GemmEpilogue& e) {
  if (m == 0 || n == 0) return;
  const size_t blocks = (m + kBlockRows - 1) / kBlockRows;
  for (size_t block = 0; block < blocks; ++block) {
    const size_t row = share_begin(m, blocks, block), rows = share_begin(m, blocks, block + 1) - row;
    const TileC block_c = TileC{c, ldc, e.bias, e.residual, e.residual_stride, nullptr}.at(row, 0);
    b.ahead = block + 1 == blocks && e.next != nullptr ? static_cast<decltype(b.ahead)>(e.next) : b.data;
    if (e.activation == Activation::kNone) {
      tile_rows(a + row * lda, lda, b, rows, n, k, block_c);
      continue;
    }
    // Store first, then activate while the columns are in the L1 cache: on the accumulators themselves the activation
    // is a serial chain behind every tile.
    for (size_t col = 0; col < n; col += kTileCols) {
      const size_t cols = HWY_MIN(kTileCols, n - col);
      const TileC c_cols = block_c.at(0, col);
      B b_cols = b;
      b_cols.data = b.data + col / kPanelCols * b.panel_stride;
      b_cols.ahead = col + kTileCols < n ? b_cols.data + kTileCols / kPanelCols * b.panel_stride : b.ahead;
      tile_rows(a + row * lda, lda, b_cols, rows, cols, k, c_cols);
      activate_rows(e.activation, c_cols.data, rows, cols, ldc);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace wde::kernels
HWY_AFTER_NAMESPACE();

#endif  // WDE_KERNELS_GEMM_BLOCKS_INL_H_
