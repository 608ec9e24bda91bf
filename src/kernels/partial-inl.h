// The last, partly filled vector of a row; included once per target by Highway's foreach_target.
// Highway's own MaskedLoad and BlendedStore are used where they are masked instructions. Elsewhere (SSE4, NEON in 1.0)
// the first is an aligned load of a whole vector and the second reads and writes one: both touch memory behind the row.
#if defined(WDE_KERNELS_PARTIAL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WDE_KERNELS_PARTIAL_INL_H_
#undef WDE_KERNELS_PARTIAL_INL_H_
#else
#define WDE_KERNELS_PARTIAL_INL_H_
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace wde::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The first n elements at p (all lanes if there are fewer), zeros behind them.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V load_first(D d, const hn::TFromD<D>* p, size_t n) {
#if HWY_ARCH_X86 && HWY_MAX_BYTES >= 32
  return hn::MaskedLoad(hn::FirstN(d, n), d, p);
#else
  if (n >= hn::Lanes(d)) return hn::LoadU(d, p);
  HWY_ALIGN hn::TFromD<D> lanes[HWY_MAX_BYTES / sizeof(hn::TFromD<D>)] = {};
  for (size_t i = 0; i < n; ++i) lanes[i] = p[i];
  return hn::Load(d, lanes);
#endif
}

// Writes the first n lanes (all of them if there are fewer) and nothing else.
template <class D, class V = hn::Vec<D>>
HWY_INLINE void store_first(V v, D d, float* p, size_t n) {
#if HWY_ARCH_X86 && HWY_MAX_BYTES >= 32
  hn::BlendedStore(v, hn::FirstN(d, n), d, p);
#else
  if (n >= hn::Lanes(d)) return hn::StoreU(v, d, p);
  HWY_ALIGN float lanes[HWY_MAX_BYTES / sizeof(float)];
  hn::Store(v, d, lanes);
  for (size_t i = 0; i < n; ++i) p[i] = lanes[i];
#endif
}

}  // namespace HWY_NAMESPACE
}  // namespace wde::kernels
HWY_AFTER_NAMESPACE();

#endif  // WDE_KERNELS_PARTIAL_INL_H_
