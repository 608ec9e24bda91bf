// Row-wise normalisation.
#pragma once

#include <cstddef>

namespace wde::kernels {

// y = (x - mean) / sqrt(variance + eps) * gamma + beta, each row by itself, two passes in float32. y may be x. beta may
// be nullptr.
void layer_norm(const float* x, size_t x_stride, const float* gamma, const float* beta, float eps, float* y,
                size_t y_stride, size_t rows, size_t cols) noexcept;

// y = x / sqrt(mean(x^2) + eps) * gamma, each row by itself. y may be x.
void rms_norm(const float* x, size_t x_stride, const float* gamma, float eps, float* y, size_t y_stride, size_t rows,
              size_t cols) noexcept;

// x / max(||x||_2, 1e-12): the eps is torch.nn.functional.normalize's.
void l2_normalize(float* x, size_t n) noexcept;

}  // namespace wde::kernels
