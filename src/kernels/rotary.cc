#include "kernels/rotary.h"

#include "kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/rotary.cc"  // NOLINT
#include <hwy/foreach_target.h>                 // NOLINT(build/include_order)
#include "kernels/partial-inl.h"

HWY_BEFORE_NAMESPACE();
namespace wde::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

void rotate_target(float* x, size_t heads, size_t head_dim, const float* HWY_RESTRICT cosines,
                   const float* HWY_RESTRICT sines, size_t half, RotaryPairs pairs) {
  const hn::CappedTag<float, 16> d;
  const size_t lanes = hn::Lanes(d);
  for (size_t h = 0; h < heads; ++h, x += head_dim) {
    if (pairs == RotaryPairs::kAdjacent) {
      for (size_t i = 0; i < half; ++i) {
        const float a = x[2 * i], b = x[2 * i + 1];
        x[2 * i] = a * cosines[i] - b * sines[i];
        x[2 * i + 1] = b * cosines[i] + a * sines[i];
      }
      continue;
    }
    for (size_t i = 0; i < half; i += lanes) {
      const size_t n = HWY_MIN(lanes, half - i);
      const auto a = load_first(d, x + i, n), b = load_first(d, x + half + i, n);
      const auto c = load_first(d, cosines + i, n), s = load_first(d, sines + i, n);
      store_first(hn::NegMulAdd(b, s, hn::Mul(a, c)), d, x + i, n);
      store_first(hn::MulAdd(a, s, hn::Mul(b, c)), d, x + half + i, n);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace wde::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace wde::kernels {
HWY_EXPORT(rotate_target);

void rotate(float* x, size_t heads, size_t head_dim, const float* cosines, const float* sines, size_t half,
            RotaryPairs pairs) noexcept {
  HWY_DYNAMIC_DISPATCH(rotate_target)(x, heads, head_dim, cosines, sines, half, pairs);
}
}  // namespace wde::kernels
#endif
