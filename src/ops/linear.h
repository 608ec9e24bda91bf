// Linear: y = act(x W^T + b + residual), weights packed at load. Several checkpoint tensors may lie side by side in one
// Linear (Q, K and V; gate and up), so that they are one GEMM.
#pragma once

#include <string>

#include "base/team.h"
#include "base/view.h"
#include "kernels/gemm.h"
#include "loader/weights.h"
#include "ops/weight_arena.h"

namespace wde {

class Linear {
 public:
  Linear() = default;
  // The weights lie in the arena, which must outlive the Linear.
  Linear(size_t in_features, size_t out_features, WeightArena& arena);

  // Loads `weight` [rows, in_features] and `bias` [rows] ("" : none) as output columns [first, first + rows), times
  // `scale`.
  void load(Weights& weights, const std::string& weight, const std::string& bias, size_t first, size_t rows,
            float scale = 1.0f);
  // The common case: "<name>.weight" and "<name>.bias" fill the whole Linear.
  static Linear from(Weights& weights, WeightArena& arena, const std::string& name, size_t in_features,
                     size_t out_features, bool bias = true);

  // x [rows, in_features], y [rows, out_features]; residual [rows, out_features] may be y itself.
  // With a part, the member computes its share of the columns.
  void run(View<const float> x, View<float> y, Activation activation = Activation::kNone,
           const Part& part = {}) const noexcept;
  void run_add(View<const float> x, View<const float> residual, View<float> y, const Part& part = {}) const noexcept;

  size_t in_features() const { return in_; }
  size_t out_features() const { return out_; }

 private:
  void run_columns(View<const float> x, View<float> y, kernels::GemmEpilogue epilogue, const Part& part) const noexcept;

  size_t in_ = 0, out_ = 0;
  float* packed_ = nullptr;
  float* bias_ = nullptr;  // zeros where there is none
};

}  // namespace wde
