// Small vector helpers on float32 rows.
#pragma once

#include <cstddef>

namespace wde::kernels {

void add(const float* x, float* y, size_t n) noexcept;                  // y += x
void add_scaled(const float* x, float a, float* y, size_t n) noexcept;  // y += a x
void scale(float a, float* y, size_t n) noexcept;                       // y *= a
void maximum(const float* x, float* y, size_t n) noexcept;              // y = max(y, x)

}  // namespace wde::kernels
