// Both products of attention on bfloat16 in pairs, for one instruction set; included once per target by Highway's
// foreach_target.
#if defined(WDE_KERNELS_PAIR_PRODUCTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WDE_KERNELS_PAIR_PRODUCTS_INL_H_
#undef WDE_KERNELS_PAIR_PRODUCTS_INL_H_
#else
#define WDE_KERNELS_PAIR_PRODUCTS_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstring>

#include "kernels/bf16_pairs-inl.h"
#include "kernels/float_products-inl.h"
#include "kernels/query_blocks-inl.h"

HWY_BEFORE_NAMESPACE();
namespace wde::kernels {
namespace HWY_NAMESPACE {

// Queries and keys are pairs along a head, exponentials and values pairs of keys. Where AttentionArgs::rounded, queries
// are used as they lie.
class PairProducts {
 public:
  using B = TilePairs;
  static constexpr size_t kElements = 2;
  static constexpr bool kTakesValuesAsTheyAre = false;
  // Queries of a block, rounded, or the keys of some panels.
  static constexpr size_t scratch(size_t head_dim) { return kQueryBlock * row_floats(head_dim); }
  PairProducts(const AttentionArgs& args, float* scratch) : rows_(scratch), rounded_(args.rounded) {}

  void pack_keys(const float* k, size_t stride, size_t count, size_t head_dim, float* out) const {
    constexpr size_t kKeys = kQueryBlock / kPanelCols * kPanelCols;
    const size_t pairs = units<PairProducts>(head_dim);
    if (rounded_) return pack_panels(k, stride, count, pairs, out);
    for (size_t key = 0; key < count; key += kKeys) {
      const size_t keys = HWY_MIN(kKeys, count - key);
      const Rows rounded = queries(k + key * stride, stride, keys, head_dim);
      pack_panels(rounded.data, rounded.stride, keys, pairs, out + key * pairs);
    }
  }

  // V[count, head_dim] -> [pair of keys][head_dim, padded], zeros behind the last key and dimension.
  void pack_values(const float* v, size_t stride, size_t count, size_t head_dim, float* out) const {
    const TileTag d;
    const hn::RebindToUnsigned<TileTag> du;
    const size_t padded = round_up(head_dim, kPanelCols);
    for (size_t key = 0; key < count; key += 2, v += 2 * stride, out += padded) {
      for (size_t col = 0; col < padded; col += kLanes) {
        const size_t cols = HWY_MIN(head_dim - HWY_MIN(col, head_dim), kLanes);
        const auto half = [&](const float* row) HWY_ATTR {
          if (rounded_) return hn::PromoteTo(du, load_halves(row, col, cols));
          const auto x = cols == kLanes ? hn::LoadU(d, row + col) : load_first(d, row + col, cols);
          return hn::PromoteTo(du, to_bf16(x));
        };
        const auto second = key + 1 < count ? hn::ShiftLeft<16>(half(v + stride)) : hn::Zero(du);
        hn::StoreU(hn::BitCast(d, hn::Or(half(v), second)), d, out + col);
      }
    }
  }

  HWY_INLINE Rows queries(const float* q, size_t stride, size_t rows, size_t head_dim) const {
    if (rounded_) return {q, stride};
    round_rows_to(q, stride, rows, head_dim, reinterpret_cast<uint16_t*>(rows_), 2 * row_floats(head_dim));
    return {rows_, row_floats(head_dim)};
  }

  // Halves at the beginning of the row: behind the logits that are still to be read, never before them. Lanes from n on
  // are zeros, and stored too.
  static HWY_INLINE void store(TileVector p, float* row, size_t i, size_t /*n*/) {
    hn::StoreU(to_bf16(p), HalfTag(), reinterpret_cast<uint16_t*>(row) + i);
  }
  // Bytes, because they will be read as floats.
  static HWY_INLINE void clear(float* row, size_t begin, size_t end) {
    std::memset(reinterpret_cast<char*>(row) + 2 * begin, 0, 2 * (end - begin));
  }

 private:
  // Whole vectors of halves, and one behind an odd row.
  static constexpr size_t row_floats(size_t head_dim) { return round_up(head_dim + 1, kPanelCols) / 2; }

  // Halves [col, col + n) of a row, zeros behind them.
  static HWY_INLINE hn::Vec<HalfTag> load_halves(const float* row, size_t col, size_t n) {
    const uint16_t* const halves = reinterpret_cast<const uint16_t*>(row) + col;
    if (n == kLanes) return hn::LoadU(HalfTag(), halves);
    uint16_t last[kLanes] = {};
    std::copy_n(halves, n, last);
    return hn::LoadU(HalfTag(), last);
  }

  float* rows_;
  const bool rounded_;
};

}  // namespace HWY_NAMESPACE
}  // namespace wde::kernels
HWY_AFTER_NAMESPACE();

#endif  // WDE_KERNELS_PAIR_PRODUCTS_INL_H_
