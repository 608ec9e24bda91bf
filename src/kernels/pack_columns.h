// The panels of packed weights, see gemm.h, with every weight as `convert` makes it.
#pragma once

#include <algorithm>
#include <cstddef>

#include "kernels/gemm.h"

namespace wde::kernels {

template <class T, class Convert>
void pack_columns(const float* w, size_t n, size_t k, size_t first_column, T* packed, const Convert& convert) {
  for (size_t begin = 0; begin < n;) {
    // Columns of one panel together, so that the writes run through it once.
    const size_t column = first_column + begin, within = column % kPanelCols;
    const size_t count = std::min(kPanelCols - within, n - begin);
    T* panel = packed + column / kPanelCols * kPanelCols * k + within;
    for (size_t kk = 0; kk < k; ++kk) {
      for (size_t j = 0; j < count; ++j) panel[kk * kPanelCols + j] = convert(w[(begin + j) * k + kk]);
    }
    begin += count;
  }
}

}  // namespace wde::kernels
