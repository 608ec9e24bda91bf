// Small vector helpers on float32 rows.
#pragma once

#include <cstddef>

namespace wde::kernels {

// No NaN, no infinity.
bool all_finite(const float* x, size_t n) noexcept;

void add(const float* x, float* y, size_t n) noexcept;                  // y += x
void add_scaled(const float* x, float a, float* y, size_t n) noexcept;  // y += a x
void scale(float a, float* y, size_t n) noexcept;                       // y *= a
// y = max(y, x), and NaN where y is one or x is not finite: what is not a number must not end in a maximum.
void maximum(const float* x, float* y, size_t n) noexcept;

}  // namespace wde::kernels
