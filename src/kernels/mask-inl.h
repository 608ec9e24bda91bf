// What a mask makes of keys and logits, for one instruction set: which keys a query sees, and what is added to their
// products. Included once per target by Highway's foreach_target.
#if defined(WDE_KERNELS_MASK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WDE_KERNELS_MASK_INL_H_
#undef WDE_KERNELS_MASK_INL_H_
#else
#define WDE_KERNELS_MASK_INL_H_
#endif

#include <hwy/highway.h>

#include "kernels/activation-inl.h"
#include "kernels/attention.h"
#include "kernels/gemm-inl.h"
#include "kernels/partial-inl.h"

HWY_BEFORE_NAMESPACE();
namespace wde::kernels {
namespace HWY_NAMESPACE {

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
    if (a.soft_cap > 0) {
      const auto capped = hn::Mul(cap, tanh(d, hn::Mul(x, inverse_cap)));
      x = hn::IfThenElse(hn::IsNaN(x), x, capped);  // tanh makes a number of it
    }
    if (a.alibi_slopes != nullptr) {
      x = hn::NegMulAdd(slope, hn::Abs(hn::Iota(d, static_cast<float>(distance))), x);
    }
    if (bias != nullptr) x = hn::Add(x, load_up_to(d, bias + (static_cast<int64_t>(zero) + distance), keys));
    hn::StoreU(x, d, s + j);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace wde::kernels
HWY_AFTER_NAMESPACE();

#endif  // WDE_KERNELS_MASK_INL_H_
