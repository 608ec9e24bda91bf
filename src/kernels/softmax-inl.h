// The softmax of one row, for one instruction set; included once per target by Highway's foreach_target.
#if defined(WDE_KERNELS_SOFTMAX_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WDE_KERNELS_SOFTMAX_INL_H_
#undef WDE_KERNELS_SOFTMAX_INL_H_
#else
#define WDE_KERNELS_SOFTMAX_INL_H_
#endif

#include <hwy/highway.h>

#include "kernels/gemm-inl.h"
#include "kernels/partial-inl.h"

HWY_BEFORE_NAMESPACE();
namespace wde::kernels {
namespace HWY_NAMESPACE {

HWY_INLINE float row_max(const float* HWY_RESTRICT s, size_t n) {
  const TileTag d;
  auto m = hn::Set(d, s[0]);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) m = hn::Max(m, hn::LoadU(d, s + i));
  if (i < n) {
    const auto mask = hn::FirstN(d, n - i);
    m = hn::Max(m, hn::IfThenElse(mask, load_first(d, s + i, n - i), m));
  }
  return hn::GetLane(hn::MaxOfLanes(d, m));
}

// 2^x for x <= 0, relative error <= 2e-7; below -126 it is 2^-126, which no float32 sum notices. NaN stays NaN.
// 2^x = 2^n 2^r, n = round(x) by adding 1.5 * 2^23, whose sum has n in its lowest bits; |r| <= 1 / 2, 2^r by a
// polynomial that is 1 at 0, its weighted least squares iterated to an even error of 9.2e-8 before rounding.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp2_bounded(D d, V x) {
  const hn::RebindToSigned<D> di;
  x = hn::Max(hn::Set(d, -126.0f), x);
  const V magic = hn::Set(d, 12582912.0f);
  const V n = hn::Add(x, magic);
  const V r = hn::Sub(x, hn::Sub(n, magic));
  V p = hn::MulAdd(hn::Set(d, 0.00132647424f), r, hn::Set(d, 0.00967151765f));
  p = hn::MulAdd(p, r, hn::Set(d, 0.0555073358f));
  p = hn::MulAdd(p, r, hn::Set(d, 0.240222424f));
  p = hn::MulAdd(p, r, hn::Set(d, 0.693147004f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f));
  return hn::BitCast(d, hn::Add(hn::BitCast(di, p), hn::ShiftLeft<23>(hn::BitCast(di, n))));
}

// What a logit's distance from the maximum is multiplied with for exp2_bounded.
HWY_INLINE float exponent_scale(float scale) { return scale * 1.44269504f; }

// s = 2^(scale (s - max)); returns the sum.
HWY_INLINE float row_exp(float* HWY_RESTRICT s, size_t n, float max, float scale) {
  const TileTag d;
  const auto vm = hn::Set(d, max), vs = hn::Set(d, scale);
  auto sum = hn::Zero(d);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const auto p = exp2_bounded(d, hn::Mul(vs, hn::Sub(hn::LoadU(d, s + i), vm)));
    hn::StoreU(p, d, s + i);
    sum = hn::Add(sum, p);
  }
  if (i < n) {
    const auto mask = hn::FirstN(d, n - i);
    const auto p = hn::IfThenElseZero(mask, exp2_bounded(d, hn::Mul(vs, hn::Sub(load_first(d, s + i, n - i), vm))));
    store_first(p, d, s + i, n - i);
    sum = hn::Add(sum, p);
  }
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

// 2^(scale (from - to)): what an older maximum's sums are multiplied with.
HWY_INLINE float max_correction(float from, float to, float scale) {
  const hn::CappedTag<float, 1> d;
  return hn::GetLane(exp2_bounded(d, hn::Set(d, scale * (from - to))));
}

HWY_INLINE void scale_in_place(float* x, size_t n, float factor) {
  const TileTag d;
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) hn::StoreU(hn::Mul(hn::LoadU(d, x + i), hn::Set(d, factor)), d, x + i);
  for (; i < n; ++i) x[i] *= factor;
}

}  // namespace HWY_NAMESPACE
}  // namespace wde::kernels
HWY_AFTER_NAMESPACE();

#endif  // WDE_KERNELS_SOFTMAX_INL_H_
