#include "output/pooling.h"

#include <algorithm>
#include <cmath>

#include "kernels/elementwise.h"
#include "stage/job.h"

namespace wde {

void pool(Pooling mode, View<const float> rows, size_t skip, float* out) noexcept {
  const size_t n = rows.rows, d = rows.cols;
  std::fill_n(out, d, 0.0f);
  skip = std::min(skip, n);
  if (skip == n) return;
  switch (mode) {
    case Pooling::kCls:
      std::copy_n(rows.row(skip), d, out);
      return;
    case Pooling::kLastToken:
      std::copy_n(rows.row(n - 1), d, out);
      return;
    case Pooling::kMax:
      std::copy_n(rows.row(skip), d, out);
      for (size_t r = skip; r < n; ++r) kernels::maximum(rows.row(r), out, d);
      return;
    case Pooling::kMean:
    case Pooling::kMeanSqrtLen: {
      for (size_t r = skip; r < n; ++r) kernels::add(rows.row(r), out, d);
      const auto count = static_cast<float>(n - skip);
      kernels::scale(1.0f / (mode == Pooling::kMean ? count : std::sqrt(count)), out, d);
      return;
    }
    case Pooling::kWeightedMean: {
      float sum = 0;
      for (size_t r = skip; r < n; ++r) {
        const auto weight = static_cast<float>(r + 1);
        kernels::add_scaled(rows.row(r), weight, out, d);
        sum += weight;
      }
      kernels::scale(1.0f / sum, out, d);
      return;
    }
  }
}

RowsNeeded rows_for(const PoolingSpec& spec) noexcept {
  const bool one = spec.modes.size() == 1 && spec.include_prompt;
  if (one && spec.modes[0] == Pooling::kCls) return RowsNeeded::kFirst;
  if (one && spec.modes[0] == Pooling::kLastToken) return RowsNeeded::kLast;
  return RowsNeeded::kAll;
}

}  // namespace wde
