// The panels of packed weights, with every weight as `convert` makes it: [k / kTogether][16 columns][kTogether]. As
// gemm.h has them with kTogether 1, in pairs along k (gemm_bf16.h) with 2.
#pragma once

#include <algorithm>
#include <cstddef>

#include "kernels/gemm.h"

namespace wde::kernels {

template <size_t kTogether, class T, class Convert>
void pack_columns(const float* w, size_t n, size_t k, size_t first_column, T* packed, const Convert& convert) {
  const size_t depth = (k + kTogether - 1) / kTogether * kTogether;
  for (size_t begin = 0; begin < n;) {
    // Columns of one panel together, so that the writes run through it once.
    const size_t column = first_column + begin, within = column % kPanelCols;
    const size_t count = std::min(kPanelCols - within, n - begin);
    T* panel = packed + column / kPanelCols * kPanelCols * depth + kTogether * within;
    for (size_t kk = 0; kk < k; ++kk) {
      T* const row = panel + kk / kTogether * kTogether * kPanelCols + kk % kTogether;
      for (size_t j = 0; j < count; ++j) row[kTogether * j] = convert(w[(begin + j) * k + kk]);
    }
    begin += count;
  }
}

}  // namespace wde::kernels
