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

using Vec = hn::Vec<Tag>;

// f(v, sum) over the vectors v of x [n], lanes behind its end being `neutral`, of which f adds nothing. Four sums hide
// the latency of the additions.
template <class F>
HWY_INLINE float reduce(const float* x, size_t n, Vec neutral, const F& f) {
  const Tag d;
  const size_t lanes = hn::Lanes(d);
  Vec s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0;
  size_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    s0 = f(hn::LoadU(d, x + i), s0);
    s1 = f(hn::LoadU(d, x + i + lanes), s1);
    s2 = f(hn::LoadU(d, x + i + 2 * lanes), s2);
    s3 = f(hn::LoadU(d, x + i + 3 * lanes), s3);
  }
  for (; i + lanes <= n; i += lanes) s0 = f(hn::LoadU(d, x + i), s0);
  if (i < n) s1 = f(hn::IfThenElse(hn::FirstN(d, n - i), load_first(d, x + i, n - i), neutral), s1);
  return hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(s0, s1), hn::Add(s2, s3))));
}

// y [n] = f(x, gamma, beta), vector by vector; beta may be nullptr, for zeros.
template <class F>
HWY_INLINE void map(const float* x, const float* gamma, const float* beta, float* y, size_t n, const F& f) {
  const Tag d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const Vec b = beta != nullptr ? hn::LoadU(d, beta + i) : hn::Zero(d);
    hn::StoreU(f(hn::LoadU(d, x + i), hn::LoadU(d, gamma + i), b), d, y + i);
  }
  if (i == n) return;
  const Vec b = beta != nullptr ? load_first(d, beta + i, n - i) : hn::Zero(d);
  store_first(f(load_first(d, x + i, n - i), load_first(d, gamma + i, n - i), b), d, y + i, n - i);
}

HWY_INLINE float sum_of_squares(const float* x, size_t n) {
  return reduce(x, n, hn::Zero(Tag()), [](Vec v, Vec sum) HWY_ATTR { return hn::MulAdd(v, v, sum); });
}

void layer_norm_target(const float* x, size_t x_stride, const float* gamma, const float* beta, float eps, float* y,
                       size_t y_stride, size_t rows, size_t cols) {
  const Tag d;
  const float inverse_n = 1.0f / static_cast<float>(cols);
  for (size_t r = 0; r < rows; ++r, x += x_stride, y += y_stride) {
    const float sum = reduce(x, cols, hn::Zero(d), [](Vec v, Vec so_far) HWY_ATTR { return hn::Add(so_far, v); });
    const Vec mean = hn::Set(d, inverse_n * sum);
    const float squares = reduce(x, cols, mean, [&](Vec v, Vec so_far) HWY_ATTR {
      const Vec centred = hn::Sub(v, mean);
      return hn::MulAdd(centred, centred, so_far);
    });
    const Vec inverse = hn::Set(d, 1.0f / std::sqrt(inverse_n * squares + eps));
    map(x, gamma, beta, y, cols,
        [&](Vec v, Vec g, Vec b) HWY_ATTR { return hn::MulAdd(hn::Mul(hn::Sub(v, mean), inverse), g, b); });
  }
}

void rms_norm_target(const float* x, size_t x_stride, const float* gamma, float eps, float* y, size_t y_stride,
                     size_t rows, size_t cols) {
  for (size_t r = 0; r < rows; ++r, x += x_stride, y += y_stride) {
    const float mean = sum_of_squares(x, cols) / static_cast<float>(cols);
    const Vec inverse = hn::Set(Tag(), 1.0f / std::sqrt(mean + eps));
    map(x, gamma, nullptr, y, cols, [&](Vec v, Vec g, Vec) HWY_ATTR { return hn::Mul(hn::Mul(v, inverse), g); });
  }
}

void l2_normalize_target(float* x, size_t n) {
  const float norm = std::sqrt(sum_of_squares(x, n));
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
  map(x, y, nullptr, y, n, [&](Vec v, Vec so_far, Vec zero) HWY_ATTR {
    v = hn::MulAdd(v, zero, v);  // an infinity becomes NaN
    return hn::IfThenElse(hn::Or(hn::Gt(v, so_far), hn::IsNaN(v)), v, so_far);
  });
}

bool all_finite_target(const float* x, size_t n) {
  const Tag d;
  // 0 a finite number, NaN for all else.
  return reduce(x, n, hn::Zero(d), [](Vec v, Vec sum) HWY_ATTR { return hn::MulAdd(v, hn::Zero(Tag()), sum); }) == 0;
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
HWY_EXPORT(all_finite_target);

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
bool all_finite(const float* x, size_t n) noexcept { return HWY_DYNAMIC_DISPATCH(all_finite_target)(x, n); }
}  // namespace wde::kernels
#endif
