// LayerNorm over the last dimension, with its weights.
#pragma once

#include <string>
#include <vector>

#include "base/view.h"
#include "kernels/norm.h"
#include "loader/weights.h"

namespace wde {

class LayerNorm {
 public:
  LayerNorm() = default;
  // Loads "<name>.weight" and "<name>.bias" (gamma and beta in old checkpoints), each [size].
  LayerNorm(Weights& weights, const std::string& name, size_t size, float eps) : gamma_(size), beta_(size), eps_(eps) {
    to_float32(weights.get(name + ".weight", {size}), 0, size, gamma_.data());
    to_float32(weights.get(name + ".bias", {size}), 0, size, beta_.data());
  }

  // x [rows, size]; y may be x.
  void run(View<const float> x, View<float> y) const noexcept {
    kernels::layer_norm(x.data, x.stride, gamma_.data(), beta_.data(), eps_, y.data, y.stride, x.rows, gamma_.size());
  }

  size_t bytes() const { return 2 * gamma_.size() * sizeof(float); }

 private:
  std::vector<float> gamma_, beta_;
  float eps_ = 0;
};

}  // namespace wde
