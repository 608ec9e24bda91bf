// Norm: LayerNorm or RMSNorm over the last dimension, with its weights. Default-constructed: there is none.
#pragma once

#include <string>
#include <vector>

#include "base/view.h"
#include "kernels/norm.h"
#include "loader/weights.h"

namespace wde {

class Norm {
 public:
  Norm() = default;

  // LayerNorm from "<name>.weight" and, if it has one, "<name>.bias" (gamma and beta in old checkpoints), each [size].
  static Norm layer(Weights& weights, const std::string& name, size_t size, float eps, bool bias = true) {
    Norm norm(weights, name, size, eps);
    if (bias) {
      norm.beta_.resize(size);
      to_float32(weights.get(name + ".bias", {size}), 0, size, norm.beta_.data());
    }
    return norm;
  }
  // RMSNorm from "<name>.weight" [size]; `offset` is added to the weights (1 in Gemma, which stores w - 1).
  static Norm rms(Weights& weights, const std::string& name, size_t size, float eps, float offset = 0.0f) {
    Norm norm(weights, name, size, eps);
    norm.rms_ = true;
    for (float& g : norm.gamma_) g += offset;
    return norm;
  }

  explicit operator bool() const { return !gamma_.empty(); }

  // x [rows, size]; y may be x.
  void run(View<const float> x, View<float> y) const noexcept {
    if (rms_) {
      kernels::rms_norm(x.data, x.stride, gamma_.data(), eps_, y.data, y.stride, x.rows, gamma_.size());
    } else {
      kernels::layer_norm(x.data, x.stride, gamma_.data(), beta_.empty() ? nullptr : beta_.data(), eps_, y.data,
                          y.stride, x.rows, gamma_.size());
    }
  }

  size_t size() const { return gamma_.size(); }
  size_t bytes() const { return (gamma_.size() + beta_.size()) * sizeof(float); }

 private:
  Norm(Weights& weights, const std::string& name, size_t size, float eps) : gamma_(size), eps_(eps) {
    to_float32(weights.get(name + ".weight", {size}), 0, size, gamma_.data());
  }

  std::vector<float> gamma_, beta_;
  float eps_ = 0;
  bool rms_ = false;
};

}  // namespace wde
