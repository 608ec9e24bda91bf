// The formulas in plain loops with double accumulation: what every kernel is tested against, on every instruction set.
#pragma once

#include <cstddef>

#include "kernels/activation.h"

namespace wde::kernels::reference {

// C = act(A W^T + bias + residual), W[n, k] as checkpoints store it. bias, residual may be nullptr.
void linear(const float* a, size_t lda, const float* w, const float* bias, const float* residual,
            size_t residual_stride, Activation act, float* c, size_t ldc, size_t m, size_t n, size_t k);

float activate(Activation act, float x);

void layer_norm(const float* x, const float* gamma, const float* beta, float eps, float* y, size_t cols);

}  // namespace wde::kernels::reference
