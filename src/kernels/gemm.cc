#include "kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm.cc"  // NOLINT
#include <hwy/foreach_target.h>               // NOLINT(build/include_order)

#include "kernels/activation-inl.h"
#include "kernels/gemm-inl.h"

HWY_BEFORE_NAMESPACE();
namespace wde::kernels {
namespace HWY_NAMESPACE {

// Rows of A that stay in the L2 cache while all of B passes by once: 168 rows x 1,536 columns x 4 bytes = 1 MiB.
inline constexpr size_t kBlockRows = 168;

void gemm_target(const float* a, size_t lda, const float* packed_b, float* c, size_t ldc, size_t m, size_t n, size_t k,
                 const GemmEpilogue& e) {
  if (m == 0 || n == 0) return;
  const size_t blocks = (m + kBlockRows - 1) / kBlockRows;
  for (size_t block = 0; block < blocks; ++block) {
    const size_t row = share_begin(m, blocks, block), rows = share_begin(m, blocks, block + 1) - row;
    const TileC block_c{c + row * ldc,     ldc,    e.bias, e.residual ? e.residual + row * e.residual_stride : nullptr,
                        e.residual_stride, nullptr};
    const TileB b{packed_b, kPanelCols, kPanelCols * k, packed_b};
    if (e.activation == Activation::kNone) {
      tile_rows(a + row * lda, lda, b, rows, n, k, block_c);
      continue;
    }
    // Store first, then activate while the columns are in the L1 cache: on the accumulators themselves the activation
    // is a serial chain behind every tile.
    for (size_t col = 0; col < n; col += kTileCols) {
      const size_t cols = HWY_MIN(kTileCols, n - col);
      TileC c_cols = block_c;
      c_cols.data += col;
      if (c_cols.bias) c_cols.bias += col;
      if (c_cols.residual) c_cols.residual += col;
      TileB b_cols = b;
      b_cols.data = b.data + col / kPanelCols * b.panel_stride;
      b_cols.ahead = col + kTileCols < n ? b_cols.data + kTileCols / kPanelCols * b.panel_stride : b_cols.data;
      tile_rows(a + row * lda, lda, b_cols, rows, cols, k, c_cols);
      activate_rows(e.activation, c_cols.data, rows, cols, ldc);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace wde::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace wde::kernels {
HWY_EXPORT(gemm_target);

void gemm(const float* a, size_t lda, const float* packed_b, float* c, size_t ldc, size_t m, size_t n, size_t k,
          const GemmEpilogue& epilogue) noexcept {
  HWY_DYNAMIC_DISPATCH(gemm_target)(a, lda, packed_b, c, ldc, m, n, k, epilogue);
}

void pack_weight(const float* w, size_t n, size_t k, size_t first_column, float* packed) noexcept {
  for (size_t begin = 0; begin < n;) {
    // Columns of one panel together, so that the writes run through it once.
    const size_t column = first_column + begin, within = column % kPanelCols;
    const size_t count = HWY_MIN(kPanelCols - within, n - begin);
    float* panel = packed + column / kPanelCols * kPanelCols * k + within;
    for (size_t kk = 0; kk < k; ++kk) {
      for (size_t j = 0; j < count; ++j) panel[kk * kPanelCols + j] = w[(begin + j) * k + kk];
    }
    begin += count;
  }
}
}  // namespace wde::kernels
#endif
