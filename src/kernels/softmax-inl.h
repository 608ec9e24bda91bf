// The softmax of one row, for one instruction set; included once per target by Highway's foreach_target.
#if defined(WDE_KERNELS_SOFTMAX_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WDE_KERNELS_SOFTMAX_INL_H_
#undef WDE_KERNELS_SOFTMAX_INL_H_
#else
#define WDE_KERNELS_SOFTMAX_INL_H_
#endif

#include <hwy/highway.h>

#include "kernels/gemm-inl.h"
#include "kernels/mask-inl.h"
#include "kernels/partial-inl.h"

HWY_BEFORE_NAMESPACE();
namespace wde::kernels {
namespace HWY_NAMESPACE {

// Rows that are taken side by side: of one alone, the maximum and the sum are chains that leave the machine waiting.
inline constexpr size_t kSoftmaxRows = 4;

// max[r] = the largest of s[r * stride, + n), n > 0.
template <size_t kRows>
HWY_INLINE void rows_max(const float* HWY_RESTRICT s, size_t stride, size_t n, float* HWY_RESTRICT max) {
  const TileTag d;
  hn::Vec<TileTag> m[kRows];
#pragma GCC unroll 4
  for (size_t r = 0; r < kRows; ++r) m[r] = hn::Set(d, s[r * stride]);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
#pragma GCC unroll 4
    for (size_t r = 0; r < kRows; ++r) m[r] = hn::Max(m[r], hn::LoadU(d, s + r * stride + i));
  }
  if (i < n) {
    const auto mask = hn::FirstN(d, n - i);
#pragma GCC unroll 4
    for (size_t r = 0; r < kRows; ++r) {
      m[r] = hn::Max(m[r], hn::IfThenElse(mask, load_first(d, s + r * stride + i, n - i), m[r]));
    }
  }
#pragma GCC unroll 4
  for (size_t r = 0; r < kRows; ++r) max[r] = hn::GetLane(hn::MaxOfLanes(d, m[r]));
}

// 2^x for x <= 0, relative error <= 2e-7; below -126 it is 2^-126, which no float32 sum notices. NaN stays NaN.
// 2^x = 2^n 2^r, n = round(x) by adding 1.5 * 2^23, whose sum has n in its lowest bits; |r| <= 1 / 2, 2^r by a
// polynomial that is 1 at 0, its weighted least squares iterated to an even error of 9.2e-8 before rounding.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp2_bounded(D d, V x) {
  const hn::RebindToSigned<D> di;
  const V lowest = hn::Set(d, -126.0f);
#if HWY_ARCH_X86 && HWY_TARGET != HWY_SCALAR
  x = hn::Max(lowest, x);  // the second where one is NaN
#else
  x = hn::IfThenElse(hn::Lt(x, lowest), lowest, x);  // Max prefers the number
#endif
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

// 2^(scale (s - max[r])) for `keys` of the row at s + r * stride, stored as Format::store does; sum[r] += theirs.
template <size_t kRows, class Format>
HWY_INLINE void rows_exp(float* HWY_RESTRICT s, size_t stride, KeyRange keys, const float* HWY_RESTRICT max,
                         float scale, float* HWY_RESTRICT sum) {
  const TileTag d;
  const auto vs = hn::Set(d, scale);
  hn::Vec<TileTag> vm[kRows], vsum[kRows];
#pragma GCC unroll 4
  for (size_t r = 0; r < kRows; ++r) vm[r] = hn::Set(d, max[r]), vsum[r] = hn::Zero(d);
  size_t i = keys.begin;
  for (; i + kLanes <= keys.end; i += kLanes) {
#pragma GCC unroll 4
    for (size_t r = 0; r < kRows; ++r) {
      float* const row = s + r * stride;
      const auto p = exp2_bounded(d, hn::Mul(vs, hn::Sub(hn::LoadU(d, row + i), vm[r])));
      Format::store(p, row, i, kLanes);
      vsum[r] = hn::Add(vsum[r], p);
    }
  }
  if (const size_t left = keys.end - i; left > 0) {
    const auto mask = hn::FirstN(d, left);
#pragma GCC unroll 4
    for (size_t r = 0; r < kRows; ++r) {
      float* const row = s + r * stride;
      const auto x = hn::Mul(vs, hn::Sub(load_first(d, row + i, left), vm[r]));
      const auto p = hn::IfThenElseZero(mask, exp2_bounded(d, x));
      Format::store(p, row, i, left);
      vsum[r] = hn::Add(vsum[r], p);
    }
  }
#pragma GCC unroll 4
  for (size_t r = 0; r < kRows; ++r) sum[r] += hn::GetLane(hn::SumOfLanes(d, vsum[r]));
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
