// What the attention kernels share, for one instruction set: packed keys, the mask's rule, logits, softmax of a row.
// Included once per target by Highway's foreach_target.
#if defined(WDE_KERNELS_ATTENTION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WDE_KERNELS_ATTENTION_INL_H_
#undef WDE_KERNELS_ATTENTION_INL_H_
#else
#define WDE_KERNELS_ATTENTION_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>

#include "kernels/activation-inl.h"
#include "kernels/attention.h"
#include "kernels/gemm-inl.h"

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

struct KeyRange {
  size_t begin, end;
};

HWY_INLINE int64_t query_position(const AttentionArgs& a, size_t query) {
  return a.q_positions != nullptr ? a.q_positions[query] : static_cast<int64_t>(a.q_begin + query);
}

// Keys that the query sees: one range, perhaps empty.
HWY_INLINE KeyRange visible_keys(const AttentionArgs& a, size_t query) {
  const int64_t length = static_cast<int64_t>(a.k_len), position = query_position(a, query);
  int64_t begin = 0, end = length;
  if (a.causal) end = HWY_MIN(end, position + 1);
  if (a.window_left >= 0) begin = HWY_MAX(begin, position - a.window_left);
  if (a.window_right >= 0) end = HWY_MIN(end, position + a.window_right + 1);
  begin = HWY_MIN(begin, length);
  return {static_cast<size_t>(begin), static_cast<size_t>(HWY_MAX(begin, end))};
}

// How many keys a query can see at most.
HWY_INLINE size_t window_keys(const AttentionArgs& a) {
  const int64_t length = static_cast<int64_t>(a.k_len);
  const int64_t left = a.window_left < 0 ? length : a.window_left;
  const int64_t right = a.causal ? 0 : a.window_right < 0 ? length : a.window_right;
  return left >= length || right >= length ? a.k_len : HWY_MIN(a.k_len, static_cast<size_t>(left + right + 1));
}

// Logits are q . k, and the softmax can scale them.
HWY_INLINE bool plain_logits(const AttentionArgs& a) {
  return !(a.soft_cap > 0) && a.alibi_slopes == nullptr && a.relative_bias == nullptr && a.c2p == nullptr &&
         a.p2c == nullptr;
}

// The first n elements at p (all lanes if there are so many), zeros behind them.
template <class D>
HWY_INLINE hn::Vec<D> load_up_to(D d, const hn::TFromD<D>* p, size_t n) {
  return n >= hn::Lanes(d) ? hn::LoadU(d, p) : load_first(d, p, n);
}

// s[lo, hi), products of a query with the keys from k0 on, become logits. Also touches what lies beside that range in
// the same whole vectors; s is that long, and begins at one.
HWY_INLINE void adjust_logits(const AttentionArgs& a, size_t head, size_t query, size_t k0, size_t lo, size_t hi,
                              float* s) {
  const TileTag d;
  const hn::RebindToSigned<TileTag> di;
  const int64_t first = static_cast<int64_t>(k0) - query_position(a, query);  // distance of key k0
  const size_t span = a.relative_span, zero = span - 1;                       // where the tables hold distance 0
  const float* bias = a.relative_bias != nullptr ? a.relative_bias + head * (2 * span - 1) : nullptr;
  const float* c2p = a.c2p != nullptr ? a.c2p + query * a.c2p_stride + head * a.positions : nullptr;
  const float* p2c = a.p2c != nullptr ? a.p2c + k0 * a.p2c_stride + head * a.positions : nullptr;
  const auto scale = hn::Set(d, a.scale), cap = hn::Set(d, a.soft_cap),
             slope = hn::Set(d, a.alibi_slopes ? a.alibi_slopes[head] : 0.0f);
  const auto inverse_cap = hn::Set(d, a.soft_cap > 0 ? 1.0f / a.soft_cap : 0.0f);
  const auto stride = hn::Set(di, static_cast<int32_t>(a.p2c_stride));
  for (size_t j = lo / kLanes * kLanes; j < hi; j += kLanes) {
    const size_t keys = HWY_MIN(kLanes, a.k_len - k0 - j);  // that there are: tables and scores end with them
    const int64_t distance = first + static_cast<int64_t>(j);
    auto x = hn::LoadU(d, s + j);
    if (c2p != nullptr || p2c != nullptr) {
      const auto index = load_up_to(di, a.relative_index + (static_cast<int64_t>(zero) + distance), keys);
      if (c2p != nullptr) x = hn::Add(x, hn::GatherIndex(d, c2p, index));
      if (p2c != nullptr) {
        const auto row = hn::Min(hn::Iota(di, 0), hn::Set(di, static_cast<int32_t>(keys - 1)));
        x = hn::Add(x, hn::GatherIndex(d, p2c + j * a.p2c_stride, hn::Add(hn::Mul(row, stride), index)));
      }
    }
    x = hn::Mul(x, scale);
    if (a.soft_cap > 0) x = hn::Mul(cap, tanh(d, hn::Mul(x, inverse_cap)));
    if (a.alibi_slopes != nullptr) {
      x = hn::NegMulAdd(slope, hn::Abs(hn::Iota(d, static_cast<float>(distance))), x);
    }
    if (bias != nullptr) x = hn::Add(x, load_up_to(d, bias + (static_cast<int64_t>(zero) + distance), keys));
    hn::StoreU(x, d, s + j);
  }
}

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
  for (size_t i = 0; i < n; ++i) x[i] *= factor;
}

}  // namespace HWY_NAMESPACE
}  // namespace wde::kernels
HWY_AFTER_NAMESPACE();

#endif  // WDE_KERNELS_ATTENTION_INL_H_
