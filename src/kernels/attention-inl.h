// What the attention kernels share, for one instruction set: the step that takes a range of keys into the softmax of a
// block of queries. Format, FloatProducts or PairProducts, is what both products are made of.
// Included once per target by Highway's foreach_target.
#if defined(WDE_KERNELS_ATTENTION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WDE_KERNELS_ATTENTION_INL_H_
#undef WDE_KERNELS_ATTENTION_INL_H_
#else
#define WDE_KERNELS_ATTENTION_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>

#include "kernels/attention.h"
#include "kernels/float_products-inl.h"
#include "kernels/gemm-inl.h"
#include "kernels/mask-inl.h"
#include "kernels/softmax-inl.h"

HWY_BEFORE_NAMESPACE();
namespace wde::kernels {
namespace HWY_NAMESPACE {

// Of a row's sum; a row that saw no key becomes zeros.
HWY_INLINE float inverse_of(float sum) { return sum > 0.0f ? 1.0f / sum : 0.0f; }

// A block of queries of one head, and what their softmax has gathered from the keys so far: the largest logit, the sum
// of exponentials (0: no key yet) and, in `out`, the sum of values.
struct QueryBlock {
  size_t head, first, rows;
  const float* q;
  float* out;
  KeyRange* seen;    // [rows]
  float *max, *sum;  // [rows]
};

// Fills `seen`; returns the keys that any of the queries sees, from the beginning of a panel on.
HWY_INLINE KeyRange look(const AttentionArgs& a, const QueryBlock& block) {
  KeyRange all{a.k_len, 0};
  for (size_t r = 0; r < block.rows; ++r) {
    const KeyRange seen = block.seen[r] = visible_keys(a, block.first + r);
    if (seen.begin < seen.end) all = {HWY_MIN(all.begin, seen.begin), HWY_MAX(all.end, seen.end)};
  }
  return {all.begin / kPanelCols * kPanelCols, all.end};
}

struct Scores {
  float* data;
  size_t stride;
};

// The logits [lo, hi) of kRows queries from the block's r-th on become exponentials.
template <size_t kRows, class Format>
HWY_INLINE void fold_rows(const AttentionArgs& a, const QueryBlock& block, size_t r, Scores scores, KeyRange keys,
                          float scale) {
  float* const s = scores.data + r * scores.stride;
  float max[kRows];
  rows_max<kRows>(s + keys.begin, scores.stride, keys.end - keys.begin, max);
  for (size_t i = 0; i < kRows; ++i) {
    float &so_far = block.max[r + i], &sum = block.sum[r + i];
    if (sum == 0.0f) {
      so_far = max[i];
    } else if (max[i] > so_far) {
      const float correction = max_correction(so_far, max[i], scale);
      sum *= correction;
      scale_in_place(block.out + (r + i) * a.out_stride, a.head_dim, correction);
      so_far = max[i];
    }
  }
  rows_exp<kRows, Format>(s, scores.stride, keys, block.max + r, scale, block.sum + r);
}

// What is seen of the keys [k0, k0 + keys), from k0 on.
HWY_INLINE KeyRange within(const KeyRange& seen, size_t k0, size_t keys) {
  const size_t begin = HWY_MIN(HWY_MAX(seen.begin, k0) - k0, keys);
  return {begin, HWY_MAX(HWY_MIN(HWY_MAX(seen.end, k0) - k0, keys), begin)};
}

// Takes the keys [k0, k0 + keys) in. `only`: there are no others, and `out` becomes the result; else `out` must have
// been zeroed before the first ones and divided by the sums behind the last.
template <class Format>
HWY_INLINE void fold_keys(const AttentionArgs& a, const QueryBlock& block, size_t k0, size_t keys, const Format& format,
                          typename Format::B k, typename Format::B v, Scores scores, bool only) {
  const bool plain = plain_logits(a);
  const float scale = exponent_scale(plain ? a.scale : 1.0f);
  const Rows q = format.queries(block.q, a.q_stride, block.rows, a.head_dim);
  tile_rows(q.data, q.stride, k, block.rows, keys, units<Format>(a.head_dim),
            TileC{scores.data, scores.stride, nullptr, nullptr, 0, nullptr});
  for (size_t r = 0, together; r < block.rows; r += together) {
    const KeyRange seen = within(block.seen[r], k0, keys);
    const auto [lo, hi] = seen;
    together = block.rows - r < kSoftmaxRows ? 1 : kSoftmaxRows;
    for (size_t i = 1; i < together; ++i) {
      const KeyRange other = within(block.seen[r + i], k0, keys);
      if (other.begin != lo || other.end != hi) together = 1;
    }
    for (size_t i = r; i < r + together && lo < hi && !plain; ++i) {
      adjust_logits(a, block.head, block.first + i, k0, lo, hi, scores.data + i * scores.stride);
    }
    if (lo < hi && together == 1) fold_rows<1, Format>(a, block, r, scores, seen, scale);
    if (lo < hi && together > 1) fold_rows<kSoftmaxRows, Format>(a, block, r, scores, seen, scale);
    for (size_t i = r; i < r + together; ++i) {
      float* const s = scores.data + i * scores.stride;
      if (lo > 0) Format::clear(s, 0, lo);
      if (const size_t end = round_up(keys, Format::kElements); hi < end) Format::clear(s, hi, end);
    }
  }
  TileC c{block.out, a.out_stride, nullptr, block.out, a.out_stride, nullptr};
  if (only) {
    for (size_t r = 0; r < block.rows; ++r) block.max[r] = inverse_of(block.sum[r]);
    c = {block.out, a.out_stride, nullptr, nullptr, 0, block.max};
  }
  tile_rows(scores.data, scores.stride, v, block.rows, a.head_dim, units<Format>(keys), c);
}

}  // namespace HWY_NAMESPACE
}  // namespace wde::kernels
HWY_AFTER_NAMESPACE();

#endif  // WDE_KERNELS_ATTENTION_INL_H_
