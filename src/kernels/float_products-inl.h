// Both products of attention on float32, for one instruction set; included once per target by Highway's foreach_target.
#if defined(WDE_KERNELS_FLOAT_PRODUCTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WDE_KERNELS_FLOAT_PRODUCTS_INL_H_
#undef WDE_KERNELS_FLOAT_PRODUCTS_INL_H_
#else
#define WDE_KERNELS_FLOAT_PRODUCTS_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>

#include "kernels/attention.h"
#include "kernels/gemm-inl.h"

HWY_BEFORE_NAMESPACE();
namespace wde::kernels {
namespace HWY_NAMESPACE {

// Floats that n neighbours along k need.
template <class Format>
constexpr size_t units(size_t n) {
  return (n + Format::kElements - 1) / Format::kElements;
}

constexpr size_t round_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

// K[count, head_dim] -> panels of 16 keys, [panel][head_dim][16], the last one padded with zeros: the packed B of
// Q K^T.
HWY_INLINE void pack_panels(const float* HWY_RESTRICT k, size_t stride, size_t count, size_t head_dim,
                            float* HWY_RESTRICT out) {
  for (size_t base = 0; base < count; base += kPanelCols, out += kPanelCols * head_dim) {
    const size_t keys = HWY_MIN(kPanelCols, count - base);
    if (keys < kPanelCols) std::fill_n(out, kPanelCols * head_dim, 0.0f);
    size_t key = 0;
#if HWY_TARGET != HWY_SCALAR
    const hn::CappedTag<float, 4> d4;  // 4 x 4 blocks: whole 16-byte stores
    for (; key + 4 <= keys; key += 4) {
      const float* rows = k + (base + key) * stride;
      size_t dim = 0;
      for (; dim + 4 <= head_dim; dim += 4) {
        const auto r0 = hn::LoadU(d4, rows + dim), r1 = hn::LoadU(d4, rows + stride + dim);
        const auto r2 = hn::LoadU(d4, rows + 2 * stride + dim), r3 = hn::LoadU(d4, rows + 3 * stride + dim);
        const auto lower01 = hn::InterleaveLower(d4, r0, r1), lower23 = hn::InterleaveLower(d4, r2, r3);
        const auto upper01 = hn::InterleaveUpper(d4, r0, r1), upper23 = hn::InterleaveUpper(d4, r2, r3);
        float* to = out + dim * kPanelCols + key;
        hn::StoreU(hn::ConcatLowerLower(d4, lower23, lower01), d4, to);
        hn::StoreU(hn::ConcatUpperUpper(d4, lower23, lower01), d4, to + kPanelCols);
        hn::StoreU(hn::ConcatLowerLower(d4, upper23, upper01), d4, to + 2 * kPanelCols);
        hn::StoreU(hn::ConcatUpperUpper(d4, upper23, upper01), d4, to + 3 * kPanelCols);
      }
      for (; dim < head_dim; ++dim) {
        for (size_t j = 0; j < 4; ++j) out[dim * kPanelCols + key + j] = rows[j * stride + dim];
      }
    }
#endif
    for (; key < keys; ++key) {
      for (size_t dim = 0; dim < head_dim; ++dim) out[dim * kPanelCols + key] = k[(base + key) * stride + dim];
    }
  }
}

// Rows of A of a product.
struct Rows {
  const float* data;
  size_t stride;
};

struct FloatProducts {
  using B = TileB;
  static constexpr size_t kElements = 1;  // neighbours along k that lie in one float of A or B
  // Rows of V are rows of B as they lie, unless a whole panel of them would reach into the neighbour's.
  static constexpr bool kTakesValuesAsTheyAre = true;
  static constexpr size_t scratch(size_t /*head_dim*/) { return 0; }
  FloatProducts(const AttentionArgs& /*args*/, float* /*scratch*/) {}

  void pack_keys(const float* k, size_t stride, size_t count, size_t head_dim, float* out) const {
    pack_panels(k, stride, count, head_dim, out);
  }
  // V[count, head_dim] -> rows of whole panels, padded with zeros.
  void pack_values(const float* v, size_t stride, size_t count, size_t head_dim, float* out) const {
    const size_t padded = round_up(head_dim, kPanelCols);
    for (size_t j = 0; j < count; ++j, v += stride, out += padded) {
      std::copy_n(v, head_dim, out);
      std::fill(out + head_dim, out + padded, 0.0f);
    }
  }
  HWY_INLINE Rows queries(const float* q, size_t stride, size_t /*rows*/, size_t /*head_dim*/) const {
    return {q, stride};
  }
  // The n <= kLanes exponentials from the i-th on of a row of scores, where their logits were.
  static HWY_INLINE void store(TileVector p, float* row, size_t i, size_t n) {
    if (n == kLanes) return hn::StoreU(p, TileTag(), row + i);
    store_first(p, TileTag(), row + i, n);
  }
  static HWY_INLINE void clear(float* row, size_t begin, size_t end) { std::fill(row + begin, row + end, 0.0f); }
};

}  // namespace HWY_NAMESPACE
}  // namespace wde::kernels
HWY_AFTER_NAMESPACE();

#endif  // WDE_KERNELS_FLOAT_PRODUCTS_INL_H_
