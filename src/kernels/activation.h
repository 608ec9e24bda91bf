// Elementwise activations, in place over rows of a matrix. Formulas and error bounds: activation-inl.h.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace wde {

enum class Activation {
  kNone,
  kGelu,       // exact: 0.5 x (1 + erf(x / sqrt 2)); what "gelu" means in transformers, and "gelu_python"
  kGeluTanh,   // "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu_accurate"
  kQuickGelu,  // x sigmoid(1.702 x): "quick_gelu"
  kRelu,
  kSilu,
  kTanh,
  kSigmoid,
};

// transformers' names (config.json's hidden_act and its like); nullopt if unknown.
std::optional<Activation> activation_from_name(std::string_view name) noexcept;

namespace kernels {

// x[r][c] = act(x[r][c]) for `rows` rows of `cols`, `stride` floats apart.
void activate(Activation act, float* x, size_t rows, size_t cols, size_t stride) noexcept;

// y[r][16 p + i] = act(x[r][32 p + i]) * x[r][32 p + 16 + i] for `panels` panels p: x is a GEMM's output whose gate and
// up columns alternate by panels of 16.
void gate_panels(Activation act, const float* x, size_t x_stride, float* y, size_t y_stride, size_t rows,
                 size_t panels) noexcept;

}  // namespace kernels
}  // namespace wde
