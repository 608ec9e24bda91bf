// What the attention kernels share, for one instruction set: packed keys and values, and the step that takes a range of
// keys into the softmax of a block of queries.
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
#include "kernels/gemm-inl.h"
#include "kernels/mask-inl.h"
#include "kernels/softmax-inl.h"

HWY_BEFORE_NAMESPACE();
namespace wde::kernels {
namespace HWY_NAMESPACE {

// K[count, head_dim] -> panels of 16 keys, [panel][head_dim][16], the last one padded with zeros: the packed B of Q
// K^T.
HWY_INLINE void pack_keys(const float* HWY_RESTRICT k, size_t stride, size_t count, size_t head_dim,
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

constexpr size_t round_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }
// Of a row's sum; a row that saw no key becomes zeros.
HWY_INLINE float inverse_of(float sum) { return sum > 0.0f ? 1.0f / sum : 0.0f; }

// V[count, head_dim] -> rows of whole panels, padded with zeros.
HWY_INLINE void copy_values(const float* HWY_RESTRICT v, size_t stride, size_t count, size_t head_dim,
                            float* HWY_RESTRICT out) {
  const size_t padded = round_up(head_dim, kPanelCols);
  for (size_t j = 0; j < count; ++j, v += stride, out += padded) {
    std::copy_n(v, head_dim, out);
    std::fill(out + head_dim, out + padded, 0.0f);
  }
}

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
template <size_t kRows>
HWY_INLINE void fold_rows(const AttentionArgs& a, const QueryBlock& block, size_t r, Scores scores, KeyRange keys,
                          float scale) {
  float* const s = scores.data + r * scores.stride + keys.begin;
  const size_t n = keys.end - keys.begin;
  float max[kRows];
  rows_max<kRows>(s, scores.stride, n, max);
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
  rows_exp<kRows>(s, scores.stride, n, block.max + r, scale, block.sum + r);
}

// What is seen of the keys [k0, k0 + keys), from k0 on.
HWY_INLINE KeyRange within(const KeyRange& seen, size_t k0, size_t keys) {
  const size_t begin = HWY_MIN(HWY_MAX(seen.begin, k0) - k0, keys);
  return {begin, HWY_MAX(HWY_MIN(HWY_MAX(seen.end, k0) - k0, keys), begin)};
}

// Takes the keys [k0, k0 + keys) in. `only`: there are no others, and `out` becomes the result; else `out` must have
// been zeroed before the first ones and divided by the sums behind the last.
HWY_INLINE void fold_keys(const AttentionArgs& a, const QueryBlock& block, size_t k0, size_t keys, TileB k, TileB v,
                          Scores scores, bool only) {
  const bool plain = plain_logits(a);
  const float scale = exponent_scale(plain ? a.scale : 1.0f);
  tile_rows(block.q, a.q_stride, k, block.rows, keys, a.head_dim,
            TileC{scores.data, scores.stride, nullptr, nullptr, 0, nullptr});
  for (size_t r = 0, together; r < block.rows; r += together) {
    const KeyRange seen = within(block.seen[r], k0, keys);
    const auto [lo, hi] = seen;
    together = block.rows - r < kSoftmaxRows ? 1 : kSoftmaxRows;
    for (size_t i = 1; i < together; ++i) {
      const KeyRange other = within(block.seen[r + i], k0, keys);
      if (other.begin != lo || other.end != hi) together = 1;
    }
    for (size_t i = r; i < r + together; ++i) {
      float* s = scores.data + i * scores.stride;
      if (lo < hi && !plain) adjust_logits(a, block.head, block.first + i, k0, lo, hi, s);
      if (lo > 0) std::fill(s, s + lo, 0.0f);
      if (hi < keys) std::fill(s + hi, s + keys, 0.0f);
    }
    if (lo == hi) continue;
    if (together == 1) {
      fold_rows<1>(a, block, r, scores, seen, scale);
    } else {
      fold_rows<kSoftmaxRows>(a, block, r, scores, seen, scale);
    }
  }
  TileC c{block.out, a.out_stride, nullptr, block.out, a.out_stride, nullptr};
  if (only) {
    for (size_t r = 0; r < block.rows; ++r) block.max[r] = inverse_of(block.sum[r]);
    c = {block.out, a.out_stride, nullptr, nullptr, 0, block.max};
  }
  tile_rows(scores.data, scores.stride, v, block.rows, a.head_dim, keys, c);
}

}  // namespace HWY_NAMESPACE
}  // namespace wde::kernels
HWY_AFTER_NAMESPACE();

#endif  // WDE_KERNELS_ATTENTION_INL_H_
