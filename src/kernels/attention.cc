#include "kernels/attention.h"

#include <algorithm>

#include "base/view.h"
#include "kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention.cc"  // NOLINT
#include <hwy/foreach_target.h>                    // NOLINT(build/include_order)

#include "kernels/activation-inl.h"
#include "kernels/gemm-inl.h"

#ifndef WDE_ATTENTION_BLOCKS
#define WDE_ATTENTION_BLOCKS
namespace wde::kernels {
inline constexpr size_t kQueryBlock = 56;  // four tiles of 14 rows
inline constexpr size_t kOnePassKeys =
    1024;  // 56 x 1,024 scores are 224 KiB: they stay in the L2 cache between the three steps
inline constexpr size_t kKeyBlock = 512;  // beyond, in blocks of so many keys
constexpr size_t round_up_16(size_t n) { return (n + 15) / 16 * 16; }
constexpr size_t key_block(size_t k_len) { return k_len <= kOnePassKeys ? k_len : kKeyBlock; }
}  // namespace wde::kernels
#endif

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

// s = e^(scale (s - max)); returns the sum.
HWY_INLINE float row_exp(float* HWY_RESTRICT s, size_t n, float max, float scale) {
  const TileTag d;
  const auto vm = hn::Set(d, max), vs = hn::Set(d, scale);
  auto sum = hn::Zero(d);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const auto p = exp_bounded(d, hn::Mul(vs, hn::Sub(hn::LoadU(d, s + i), vm)));
    hn::StoreU(p, d, s + i);
    sum = hn::Add(sum, p);
  }
  if (i < n) {
    const auto mask = hn::FirstN(d, n - i);
    const auto p = hn::IfThenElseZero(mask, exp_bounded(d, hn::Mul(vs, hn::Sub(load_first(d, s + i, n - i), vm))));
    store_first(p, d, s + i, n - i);
    sum = hn::Add(sum, p);
  }
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

HWY_INLINE void row_scale_in_place(float* x, size_t n, float factor) {
  for (size_t i = 0; i < n; ++i) x[i] *= factor;
}

struct KeyRange {
  size_t begin, end;
};

// Keys that the query at `position` sees.
HWY_INLINE KeyRange visible_keys(const AttentionArgs& a, int64_t position) {
  const int64_t length = static_cast<int64_t>(a.k_len);
  int64_t begin = 0, end = length;
  if (a.causal) end = HWY_MIN(end, position + 1);
  if (a.window_left >= 0) begin = HWY_MAX(begin, position - a.window_left);
  if (a.window_right >= 0) end = HWY_MIN(end, position + a.window_right + 1);
  begin = HWY_MIN(begin, length);
  return {static_cast<size_t>(begin), static_cast<size_t>(HWY_MAX(begin, end))};
}

struct Scratch {
  float *keys, *values, *scores;
  size_t scores_stride;
};

// One block of queries of one head.
HWY_INLINE void attend_block(const AttentionArgs& a, const Scratch& scratch, TileB values, const float* q, float* out,
                             size_t first, size_t rows) {
  KeyRange seen[kQueryBlock];
  size_t begin = a.k_len, end = 0;  // of all rows
  for (size_t r = 0; r < rows; ++r) {
    seen[r] = visible_keys(a, a.q_positions ? a.q_positions[first + r] : static_cast<int64_t>(first + r));
    if (seen[r].begin < seen[r].end) {
      begin = HWY_MIN(begin, seen[r].begin);
      end = HWY_MAX(end, seen[r].end);
    }
  }
  begin = begin / kPanelCols * kPanelCols;  // whole panels of keys
  float max[kQueryBlock], sum[kQueryBlock], inverse[kQueryBlock];
  const size_t block = key_block(a.k_len);
  // Blocks begin at multiples of their size, wherever `begin` is: a row's bits must not depend on the queries beside
  // it.
  const bool one_pass = end <= (begin / block + 1) * block;
  for (size_t r = 0; r < rows; ++r) {
    max[r] = sum[r] = 0.0f;
    if (!one_pass || end <= begin) std::fill_n(out + r * a.out_stride, a.head_dim, 0.0f);
  }
  for (size_t k0 = begin, keys; k0 < end; k0 += keys) {
    keys = HWY_MIN((k0 / block + 1) * block, end) - k0;
    const TileB packed{scratch.keys + k0 * a.head_dim, kPanelCols, kPanelCols * a.head_dim, scratch.keys};
    tile_rows(q, a.q_stride, packed, rows, keys, a.head_dim,
              TileC{scratch.scores, scratch.scores_stride, nullptr, nullptr, 0, nullptr});
    for (size_t r = 0; r < rows; ++r) {
      float* s = scratch.scores + r * scratch.scores_stride;
      const size_t lo = HWY_MIN(HWY_MAX(seen[r].begin, k0) - k0, keys);
      const size_t hi = HWY_MAX(HWY_MIN(HWY_MAX(seen[r].end, k0) - k0, keys), lo);
      std::fill(s, s + lo, 0.0f);
      std::fill(s + hi, s + keys, 0.0f);
      if (lo == hi) continue;
      const float block_max = row_max(s + lo, hi - lo);
      if (sum[r] == 0.0f) {
        max[r] = block_max;
      } else if (block_max > max[r]) {
        const hn::CappedTag<float, 1> d1;
        const float correction = hn::GetLane(exp_bounded(d1, hn::Set(d1, a.scale * (max[r] - block_max))));
        sum[r] *= correction;
        row_scale_in_place(out + r * a.out_stride, a.head_dim, correction);
        max[r] = block_max;
      }
      sum[r] += row_exp(s + lo, hi - lo, max[r], a.scale);
    }
    for (size_t r = 0; r < rows; ++r) inverse[r] = sum[r] > 0.0f ? 1.0f / sum[r] : 0.0f;
    const TileB v{values.data + k0 * values.row_stride, values.row_stride, values.panel_stride, values.data};
    TileC c{out, a.out_stride, nullptr, one_pass ? nullptr : out, a.out_stride, one_pass ? inverse : nullptr};
    tile_rows(scratch.scores, scratch.scores_stride, v, rows, a.head_dim, keys, c);
  }
  if (!one_pass) {
    for (size_t r = 0; r < rows; ++r) row_scale_in_place(out + r * a.out_stride, a.head_dim, inverse[r]);
  }
}

void flash_attention_target(const AttentionArgs& a, float* scratch_floats) {
  const size_t padded_dim = round_up_16(a.head_dim);
  Scratch scratch;
  scratch.keys = scratch_floats;
  scratch.values = scratch.keys + round_up_16(a.k_len) * a.head_dim;
  scratch.scores = scratch.values + a.k_len * padded_dim;
  scratch.scores_stride = padded_stride(key_block(a.k_len));
  const size_t group = a.num_heads / a.num_kv_heads;
  for (size_t kv_head = 0; kv_head < a.num_kv_heads; ++kv_head) {
    pack_keys(a.k + kv_head * a.head_dim, a.k_stride, a.k_len, a.head_dim, scratch.keys);
    const float* v = a.v + kv_head * a.head_dim;
    TileB values{v, a.v_stride, kPanelCols, v};  // rows of V are rows of B as they lie
    if (a.head_dim != padded_dim) {              // unless a whole panel of them would reach into the neighbour's
      for (size_t j = 0; j < a.k_len; ++j) {
        std::copy_n(v + j * a.v_stride, a.head_dim, scratch.values + j * padded_dim);
        std::fill_n(scratch.values + j * padded_dim + a.head_dim, padded_dim - a.head_dim, 0.0f);
      }
      values = {scratch.values, padded_dim, kPanelCols, scratch.values};
    }
    for (size_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
      for (size_t first = 0; first < a.q_len; first += kQueryBlock) {
        attend_block(a, scratch, values, a.q + first * a.q_stride + head * a.head_dim,
                     a.out + first * a.out_stride + head * a.head_dim, first, HWY_MIN(kQueryBlock, a.q_len - first));
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace wde::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace wde::kernels {
HWY_EXPORT(flash_attention_target);

size_t flash_attention_scratch(size_t max_k_len, size_t head_dim) noexcept {
  // Every k_len <= max_k_len must fit: the score block is widest for kOnePassKeys.
  const size_t widest = padded_stride(std::min(max_k_len, kOnePassKeys));
  return round_up_16(max_k_len) * head_dim + max_k_len * round_up_16(head_dim) + kQueryBlock * widest;
}

void flash_attention(const AttentionArgs& args, float* scratch) noexcept {
  HWY_DYNAMIC_DISPATCH(flash_attention_target)(args, scratch);
}
}  // namespace wde::kernels
#endif
