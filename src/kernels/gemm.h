// float32 GEMM on packed weights: C[m, n] = epilogue(A[m, k] * B[k, n]).
//
// B is packed once, at load, into panels of 16 columns: panel p holds B[0..k)[16 p .. 16 p + 16), row after row, the
// last one padded with zeros. A is read in place; give it a stride from padded_stride(), or its rows alias in the L1
// cache. Every element is one chain of fused multiply-adds over k in ascending order, whatever m, n or the tile:
// results do not depend on what else is in the batch.
#pragma once

#include <cstddef>

#include "kernels/activation.h"

namespace wde::kernels {

inline constexpr size_t kPanelCols = 16;
// Rows of A that stay in the L2 cache while all of B passes by once: 168 rows x 1,536 columns x 4 bytes = 1 MiB.
inline constexpr size_t kBlockRows = 168;

struct GemmEpilogue {
  const float* bias = nullptr;      // [n rounded up to 16], added first
  const float* residual = nullptr;  // [m, n], added after the bias; may be C itself
  size_t residual_stride = 0;
  Activation activation = Activation::kNone;  // applied last
  // The weights that are needed next, or nullptr: pulled into the L2 cache while the last columns are computed.
  const void* next = nullptr;
};

constexpr size_t packed_floats(size_t k, size_t n) { return (n + kPanelCols - 1) / kPanelCols * kPanelCols * k; }

// Packs rows [0, n) of a weight as checkpoints store it, W[n, k] (out_features, in_features), as columns
// [first_column, first_column + n) of the packed matrix of depth k. Columns that are never packed must be zero already.
void pack_weight(const float* w, size_t n, size_t k, size_t first_column, float* packed) noexcept;

void gemm(const float* a, size_t lda, const float* packed_b, float* c, size_t ldc, size_t m, size_t n, size_t k,
          const GemmEpilogue& epilogue) noexcept;

}  // namespace wde::kernels
