// Vector math of one instruction set; included once per target by Highway's foreach_target.
#if defined(WDE_KERNELS_ACTIVATION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WDE_KERNELS_ACTIVATION_INL_H_
#undef WDE_KERNELS_ACTIVATION_INL_H_
#else
#define WDE_KERNELS_ACTIVATION_INL_H_
#endif

#include <hwy/highway.h>

#include "kernels/activation.h"
#include "kernels/partial-inl.h"

HWY_BEFORE_NAMESPACE();
namespace wde::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// e^x for x <= 88, relative error <= 2e-7; below -87 it is e^-87 (1.6e-38), which no float32 sum notices.
// e^x = 2^n e^r, n = round(x / ln 2), |r| <= ln 2 / 2, e^r by its Taylor polynomial of degree 7.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp_bounded(D d, V x) {
  const hn::RebindToSigned<D> di;
  x = hn::Max(x, hn::Set(d, -87.0f));
  const V n = hn::Round(hn::Mul(x, hn::Set(d, 1.44269504f)));
  // ln 2 in two parts; the first has 9 significant bits, so n times it is exact.
  V r = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), x);
  r = hn::MulAdd(n, hn::Set(d, 2.12194440e-4f), r);
  V p = hn::Set(d, 1.0f / 5040);
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f / 720));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f / 120));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f / 24));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f / 6));
  p = hn::MulAdd(p, r, hn::Set(d, 0.5f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f));
  const auto exponent = hn::ShiftLeft<23>(hn::ConvertTo(di, n));
  return hn::BitCast(d, hn::Add(hn::BitCast(di, p), exponent));
}

// 0.5 x (1 + erf(x / sqrt 2)). erf(t) = t P(t^2) / Q(t^2) on |t| <= 4, both of degree 5, fitted by Lawson-weighted
// least squares to 2.1e-8; in float32 the rounding leaves 3.2e-7. The coefficients hold the sqrt 2. One division and no
// exp: on a store path the exp formula is a serial chain that halves the speed of the GEMM before it.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V gelu(D d, V x) {
  const V bound = hn::Set(d, 5.65685425f);  // 4 sqrt 2: 1 - erf there is 1.5e-8
  const V xc = hn::Min(hn::Max(x, hn::Neg(bound)), bound);
  const V u = hn::Mul(xc, xc);
  V p = hn::Set(d, 4.3637376e-08f);
  V q = hn::Set(d, 1.17126552e-06f);
  p = hn::MulAdd(p, u, hn::Set(d, 1.27296933e-05f));
  q = hn::MulAdd(q, u, hn::Set(d, 7.6022609e-05f));
  p = hn::MulAdd(p, u, hn::Set(d, 0.0003538777f));
  q = hn::MulAdd(q, u, hn::Set(d, 0.00193055937f));
  p = hn::MulAdd(p, u, hn::Set(d, 0.00945181812f));
  q = hn::MulAdd(q, u, hn::Set(d, 0.0291191844f));
  p = hn::MulAdd(p, u, hn::Set(d, 0.0693847807f));
  q = hn::MulAdd(q, u, hn::Set(d, 0.253626506f));
  p = hn::MulAdd(p, u, hn::Set(d, 0.797884426f));
  q = hn::MulAdd(q, u, hn::Set(d, 1.0f));
  // Far below, 1 + erf would be rounding noise times x; the true value is below 1e-7. Of -infinity comes NaN, as in
  // torch: a zero would hide it from the output's check.
  const V erf = hn::IfThenElse(hn::Lt(x, hn::Neg(bound)), hn::Set(d, -1.0f), hn::Div(hn::Mul(xc, p), q));
  const V half = hn::Mul(x, hn::Set(d, 0.5f));
  return hn::MulAdd(half, erf, half);
}

// 1 / (1 + e^-x)
template <class D, class V = hn::Vec<D>>
HWY_INLINE V sigmoid(D d, V x) {
  const V one = hn::Set(d, 1.0f);
  const V e = exp_bounded(d, hn::Min(hn::Neg(x), hn::Set(d, 87.0f)));
  return hn::Div(one, hn::Add(one, e));
}

// tanh x = x P(x^2)-free form: 1 - 2 / (e^2x + 1), on |x| where the subtraction loses nothing; a short series near 0.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V tanh(D d, V x) {
  const V one = hn::Set(d, 1.0f);
  const V a = hn::Min(hn::Abs(x), hn::Set(d, 10.0f));  // tanh 10 rounds to 1
  const V e = exp_bounded(d, hn::Add(a, a));
  const V large = hn::Sub(one, hn::Div(hn::Set(d, 2.0f), hn::Add(e, one)));
  const V u = hn::Mul(
      a, a);  // |x| < 0.55: x + x^3 (-1/3 + 2/15 x^2 - 17/315 x^4 + 62/2835 x^6 - 1382/155925 x^8 + 21844/6081075 x^10)
  V s = hn::Set(d, 21844.0f / 6081075.0f);
  s = hn::MulAdd(s, u, hn::Set(d, -1382.0f / 155925.0f));
  s = hn::MulAdd(s, u, hn::Set(d, 62.0f / 2835.0f));
  s = hn::MulAdd(s, u, hn::Set(d, -17.0f / 315.0f));
  s = hn::MulAdd(s, u, hn::Set(d, 2.0f / 15.0f));
  s = hn::MulAdd(s, u, hn::Set(d, -1.0f / 3.0f));
  const V small = hn::MulAdd(hn::Mul(a, u), s, a);
  return hn::CopySignToAbs(hn::IfThenElse(hn::Lt(a, hn::Set(d, 0.55f)), small, large), x);
}

// 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) = x sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3))
template <class D, class V = hn::Vec<D>>
HWY_INLINE V gelu_tanh(D d, V x) {
  const V u = hn::Mul(x, x);
  const V inner = hn::Mul(x, hn::MulAdd(u, hn::Set(d, 0.0713548163f), hn::Set(d, 1.59576912f)));
  return hn::Mul(x, sigmoid(d, inner));
}

// NaN stays NaN: x86's min and max, which bound the arguments above, would make a number of it and hide it from the
// output's check.
template <Activation kAct, class D, class V = hn::Vec<D>>
HWY_INLINE V apply(D d, V x) {
  if constexpr (kAct == Activation::kGelu) return gelu(d, x);
  if constexpr (kAct == Activation::kGeluTanh) return gelu_tanh(d, x);
  if constexpr (kAct == Activation::kQuickGelu) return hn::Mul(x, sigmoid(d, hn::Mul(x, hn::Set(d, 1.702f))));
  if constexpr (kAct == Activation::kRelu) return hn::IfThenZeroElse(hn::Lt(x, hn::Zero(d)), x);
  if constexpr (kAct == Activation::kSilu) return hn::Mul(x, sigmoid(d, x));
  if constexpr (kAct == Activation::kTanh) return hn::IfThenElse(hn::IsNaN(x), x, tanh(d, x));
  if constexpr (kAct == Activation::kSigmoid) return hn::IfThenElse(hn::IsNaN(x), x, sigmoid(d, x));
  return x;
}

// The whole-vector part goes four vectors side by side, which hides the latency of the polynomial chains. The tail
// computes the same operations on a partly filled vector, so an element's value does not depend on its place in the
// row.
template <Activation kAct>
HWY_INLINE void activate_rows_as(float* HWY_RESTRICT x, size_t rows, size_t cols, size_t stride) {
  const hn::CappedTag<float, 16> d;
  const size_t lanes = hn::Lanes(d);
  for (size_t r = 0; r < rows; ++r, x += stride) {
    size_t c = 0;
    for (; c + 4 * lanes <= cols; c += 4 * lanes) {
      const auto y0 = apply<kAct>(d, hn::LoadU(d, x + c));
      const auto y1 = apply<kAct>(d, hn::LoadU(d, x + c + lanes));
      const auto y2 = apply<kAct>(d, hn::LoadU(d, x + c + 2 * lanes));
      const auto y3 = apply<kAct>(d, hn::LoadU(d, x + c + 3 * lanes));
      hn::StoreU(y0, d, x + c);
      hn::StoreU(y1, d, x + c + lanes);
      hn::StoreU(y2, d, x + c + 2 * lanes);
      hn::StoreU(y3, d, x + c + 3 * lanes);
    }
    for (; c + lanes <= cols; c += lanes) hn::StoreU(apply<kAct>(d, hn::LoadU(d, x + c)), d, x + c);
    if (c < cols) {
      store_first(apply<kAct>(d, load_first(d, x + c, cols - c)), d, x + c, cols - c);
    }
  }
}

HWY_INLINE void activate_rows(Activation act, float* x, size_t rows, size_t cols, size_t stride) {
  switch (act) {
    case Activation::kNone:
      return;
    case Activation::kGelu:
      return activate_rows_as<Activation::kGelu>(x, rows, cols, stride);
    case Activation::kGeluTanh:
      return activate_rows_as<Activation::kGeluTanh>(x, rows, cols, stride);
    case Activation::kQuickGelu:
      return activate_rows_as<Activation::kQuickGelu>(x, rows, cols, stride);
    case Activation::kRelu:
      return activate_rows_as<Activation::kRelu>(x, rows, cols, stride);
    case Activation::kSilu:
      return activate_rows_as<Activation::kSilu>(x, rows, cols, stride);
    case Activation::kTanh:
      return activate_rows_as<Activation::kTanh>(x, rows, cols, stride);
    case Activation::kSigmoid:
      return activate_rows_as<Activation::kSigmoid>(x, rows, cols, stride);
  }
}

template <Activation kAct>
HWY_INLINE void gate_panels_as(const float* HWY_RESTRICT x, size_t x_stride, float* HWY_RESTRICT y, size_t y_stride,
                               size_t rows, size_t panels) {
  const hn::CappedTag<float, 16> d;
  const size_t lanes = hn::Lanes(d);
  for (size_t r = 0; r < rows; ++r, x += x_stride, y += y_stride) {
    for (size_t p = 0; p < panels; ++p) {
      for (size_t i = 0; i < 16; i += lanes) {
        const auto gate = apply<kAct>(d, hn::LoadU(d, x + 32 * p + i));
        hn::StoreU(hn::Mul(gate, hn::LoadU(d, x + 32 * p + 16 + i)), d, y + 16 * p + i);
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace wde::kernels
HWY_AFTER_NAMESPACE();

#endif  // WDE_KERNELS_ACTIVATION_INL_H_
