// GatedLinear: act(x G^T + g) * (x U^T + u), the first half of a gated feed-forward. Gate and up are one GEMM whose
// panels of columns alternate, so that a member of a team computes both halves of what it multiplies. Where the columns
// of layers are divided among processes, it has those of this process alone.
#pragma once

#include "ops/linear.h"

namespace wde {

class GatedLinear {
 public:
  GatedLinear() = default;
  GatedLinear(Weights& weights, WeightArena& arena, const WeightRows& gate, const WeightRows& up, size_t in_features)
      : linear_(in_features, inner_of(gate.here(weights).rows), arena) {
    load(weights, gate.here(weights), 0);
    load(weights, up.here(weights), kernels::kPanelCols);
  }

  explicit operator bool() const { return linear_.in_features() != 0; }
  // Columns of the GEMM's own output.
  static constexpr size_t inner_of(size_t out_features) {
    return (out_features + kernels::kPanelCols - 1) / kernels::kPanelCols * 2 * kernels::kPanelCols;
  }

  Linear& product() { return linear_; }
  size_t scratch_row() const { return linear_.scratch_row(); }  // see Linear

  // x [rows, in_features], inner [rows, inner_of(columns of y)], y [rows, columns that are kept here], its rows padded
  // to whole panels.
  void run(View<const float> x, View<float> inner, View<float> y, Activation activation, const Part& part = {},
           float* scratch = nullptr) const noexcept {
    linear_.run(x, inner, Activation::kNone, part, scratch);
    const Range mine = linear_.columns(part);
    kernels::gate_panels(activation, inner.data + mine.begin, inner.stride, y.data + mine.begin / 2, y.stride, x.rows,
                         mine.size() / (2 * kernels::kPanelCols));
  }

 private:
  void load(Weights& weights, const WeightRows& source, size_t first) {
    // Also where this process has none: the tensors are there and of the right shape.
    for (size_t row = 0; row == 0 || row < source.rows; row += kernels::kPanelCols) {
      const size_t end = std::min(row + kernels::kPanelCols, source.rows);
      linear_.load(weights, source.slice({row, end}), 2 * row + first);
    }
  }

  Linear linear_;
};

}  // namespace wde
