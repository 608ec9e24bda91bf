#include "kernels/norm.h"

#include <cmath>

#include "kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/norm.cc"  // NOLINT
#include <hwy/foreach_target.h>               // NOLINT(build/include_order)
#include "kernels/partial-inl.h"

HWY_BEFORE_NAMESPACE();
namespace wde::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::CappedTag<float, 16>;

// Sum over i of f(vector i), the tail masked to zero. Two accumulators hide the latency of the additions.
template <class F>
HWY_INLINE float reduce(size_t n, const F& f) {
  const Tag d;
  const size_t lanes = hn::Lanes(d);
  auto s0 = hn::Zero(d), s1 = hn::Zero(d);
  size_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    s0 = f(i, lanes, s0);
    s1 = f(i + lanes, lanes, s1);
  }
  for (; i < n; i += lanes) s0 = f(i, HWY_MIN(lanes, n - i), s0);
  return hn::GetLane(hn::SumOfLanes(d, hn::Add(s0, s1)));
}

void layer_norm_target(const float* x, size_t x_stride, const float* gamma, const float* beta, float eps, float* y,
                       size_t y_stride, size_t rows, size_t cols) {
  const Tag d;
  const size_t lanes = hn::Lanes(d);
  const float inverse_n = 1.0f / static_cast<float>(cols);
  for (size_t r = 0; r < rows; ++r, x += x_stride, y += y_stride) {
    const float mean = inverse_n * reduce(cols, [&](size_t i, size_t n, auto acc)
                                                    HWY_ATTR { return hn::Add(acc, load_first(d, x + i, n)); });
    const auto vmean = hn::Set(d, mean);
    const float variance = inverse_n * reduce(cols, [&](size_t i, size_t n, auto acc) HWY_ATTR {
                             const auto mask = hn::FirstN(d, n);
                             const auto c = hn::IfThenElseZero(mask, hn::Sub(load_first(d, x + i, n), vmean));
                             return hn::MulAdd(c, c, acc);
                           });
    const auto inverse = hn::Set(d, 1.0f / std::sqrt(variance + eps));
    for (size_t i = 0; i < cols; i += lanes) {
      const size_t n = HWY_MIN(lanes, cols - i);
      const auto centred = hn::Mul(hn::Sub(load_first(d, x + i, n), vmean), inverse);
      const auto b = beta ? load_first(d, beta + i, n) : hn::Zero(d);
      store_first(hn::MulAdd(centred, load_first(d, gamma + i, n), b), d, y + i, n);
    }
  }
}

void rms_norm_target(const float* x, size_t x_stride, const float* gamma, float eps, float* y, size_t y_stride,
                     size_t rows, size_t cols) {
  const Tag d;
  const size_t lanes = hn::Lanes(d);
  for (size_t r = 0; r < rows; ++r, x += x_stride, y += y_stride) {
    const float squares = reduce(cols, [&](size_t i, size_t n, auto acc) HWY_ATTR {
      const auto v = load_first(d, x + i, n);
      return hn::MulAdd(v, v, acc);
    });
    const auto inverse = hn::Set(d, 1.0f / std::sqrt(squares / static_cast<float>(cols) + eps));
    for (size_t i = 0; i < cols; i += lanes) {
      const size_t n = HWY_MIN(lanes, cols - i);
      store_first(hn::Mul(hn::Mul(load_first(d, x + i, n), inverse), load_first(d, gamma + i, n)), d, y + i, n);
    }
  }
}

void l2_normalize_target(float* x, size_t n) {
  const Tag d;
  const float squares = reduce(n, [&](size_t i, size_t count, auto acc) HWY_ATTR {
    const auto v = load_first(d, x + i, count);
    return hn::MulAdd(v, v, acc);
  });
  const float norm = std::sqrt(squares);
  const float inverse = 1.0f / (norm > 1e-12f ? norm : 1e-12f);
  for (size_t i = 0; i < n; ++i) x[i] *= inverse;
}

void add_target(const float* x, float* y, size_t n) {
  for (size_t i = 0; i < n; ++i) y[i] += x[i];
}
void add_scaled_target(const float* x, float a, float* y, size_t n) {
  for (size_t i = 0; i < n; ++i) y[i] += a * x[i];
}
void scale_target(float a, float* y, size_t n) {
  for (size_t i = 0; i < n; ++i) y[i] *= a;
}
void maximum_target(const float* x, float* y, size_t n) {
  for (size_t i = 0; i < n; ++i) y[i] = x[i] > y[i] ? x[i] : y[i];
}

}  // namespace HWY_NAMESPACE
}  // namespace wde::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "kernels/elementwise.h"

namespace wde::kernels {
HWY_EXPORT(layer_norm_target);
HWY_EXPORT(rms_norm_target);
HWY_EXPORT(l2_normalize_target);
HWY_EXPORT(add_target);
HWY_EXPORT(add_scaled_target);
HWY_EXPORT(scale_target);
HWY_EXPORT(maximum_target);

void layer_norm(const float* x, size_t x_stride, const float* gamma, const float* beta, float eps, float* y,
                size_t y_stride, size_t rows, size_t cols) noexcept {
  HWY_DYNAMIC_DISPATCH(layer_norm_target)(x, x_stride, gamma, beta, eps, y, y_stride, rows, cols);
}
void rms_norm(const float* x, size_t x_stride, const float* gamma, float eps, float* y, size_t y_stride, size_t rows,
              size_t cols) noexcept {
  HWY_DYNAMIC_DISPATCH(rms_norm_target)(x, x_stride, gamma, eps, y, y_stride, rows, cols);
}
void l2_normalize(float* x, size_t n) noexcept { HWY_DYNAMIC_DISPATCH(l2_normalize_target)(x, n); }
void add(const float* x, float* y, size_t n) noexcept { HWY_DYNAMIC_DISPATCH(add_target)(x, y, n); }
void add_scaled(const float* x, float a, float* y, size_t n) noexcept {
  HWY_DYNAMIC_DISPATCH(add_scaled_target)(x, a, y, n);
}
void scale(float a, float* y, size_t n) noexcept { HWY_DYNAMIC_DISPATCH(scale_target)(a, y, n); }
void maximum(const float* x, float* y, size_t n) noexcept { HWY_DYNAMIC_DISPATCH(maximum_target)(x, y, n); }
}  // namespace wde::kernels
#endif
