// GatedLinear: act(x G^T + g) * (x U^T + u), the first half of a gated feed-forward. Gate and up are one GEMM whose
// panels of columns alternate, so that a member of a team computes both halves of what it multiplies.
#pragma once

#include "ops/linear.h"

namespace wde {

class GatedLinear {
 public:
  GatedLinear() = default;
  GatedLinear(Weights& weights, WeightArena& arena, const WeightRows& gate, const WeightRows& up, size_t in_features)
      : linear_(in_features, inner_of(gate.rows), arena), out_(gate.rows) {
    load(weights, gate, 0);
    load(weights, up, kernels::kPanelCols);
  }

  explicit operator bool() const { return out_ != 0; }
  // Columns of the GEMM's own output.
  static constexpr size_t inner_of(size_t out_features) {
    return (out_features + kernels::kPanelCols - 1) / kernels::kPanelCols * 2 * kernels::kPanelCols;
  }

  size_t scratch_row() const { return linear_.scratch_row(); }  // see Linear

  // x [rows, in_features], inner [rows, inner_of(out_features)], y [rows, out_features], its rows padded to whole
  // panels.
  void run(View<const float> x, View<float> inner, View<float> y, Activation activation, const Part& part = {},
           float* scratch = nullptr) const noexcept {
    linear_.run(x, inner, Activation::kNone, part, scratch);
    const Range mine = linear_.columns(part);
    kernels::gate_panels(activation, inner.data + mine.begin, inner.stride, y.data + mine.begin / 2, y.stride, x.rows,
                         mine.size() / (2 * kernels::kPanelCols));
  }

 private:
  void load(Weights& weights, WeightRows source, size_t first) {
    const size_t rows = source.rows, offset = source.first;
    if (source.total == 0) source.total = rows;
    for (size_t row = 0; row < rows; row += kernels::kPanelCols) {
      source.first = offset + row;
      source.rows = std::min(kernels::kPanelCols, rows - row);
      linear_.load(weights, source, 2 * row + first);
    }
  }

  Linear linear_;
  size_t out_ = 0;
};

}  // namespace wde
