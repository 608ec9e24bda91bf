#include <algorithm>

#include "base/view.h"
#include "kernels/attention.h"
#include "kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/chunked_attention.cc"  // NOLINT
#include <hwy/foreach_target.h>                            // NOLINT(build/include_order)

#include "kernels/attention-inl.h"

#ifndef WDE_CHUNKED_ATTENTION_SIZES
#define WDE_CHUNKED_ATTENTION_SIZES
namespace wde::kernels {
inline constexpr size_t kQueryChunk = 168;  // twelve tiles of 14 rows; what a packed chunk of keys is used for
inline constexpr size_t kKeyChunk = 256;    // 168 x 256 scores are 172 KiB
constexpr size_t chunk_panel(size_t n) { return (n + 15) / 16 * 16; }
}  // namespace wde::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace wde::kernels {
namespace HWY_NAMESPACE {

// Running state of a chunk of queries of one head: each row's maximum, sum of exponentials and, in `out`, sum of
// values, of all chunks of keys so far.
struct QueryChunk {
  const float* q;
  float* out;
  size_t head, first, rows;
  KeyRange seen[kQueryChunk];
  float max[kQueryChunk], sum[kQueryChunk];
};

// Folds keys [k0, k0 + keys) into the state.
HWY_INLINE void fold_keys(const AttentionArgs& a, QueryChunk& chunk, size_t k0, size_t keys, TileB k, TileB v,
                          float* scores) {
  const bool plain = plain_logits(a);
  const float scale = exponent_scale(plain ? a.scale : 1.0f);
  const size_t stride = padded_stride(kKeyChunk);
  tile_rows(chunk.q, a.q_stride, k, chunk.rows, keys, a.head_dim, TileC{scores, stride, nullptr, nullptr, 0, nullptr});
  for (size_t r = 0; r < chunk.rows; ++r) {
    float* s = scores + r * stride;
    const size_t lo = HWY_MIN(HWY_MAX(chunk.seen[r].begin, k0) - k0, keys);
    const size_t hi = HWY_MAX(HWY_MIN(HWY_MAX(chunk.seen[r].end, k0) - k0, keys), lo);
    if (lo < hi && !plain) adjust_logits(a, chunk.head, chunk.first + r, k0, lo, hi, s);
    std::fill(s, s + lo, 0.0f);
    std::fill(s + hi, s + keys, 0.0f);
    if (lo == hi) continue;
    const float chunk_max = row_max(s + lo, hi - lo);
    if (chunk.sum[r] == 0.0f) {
      chunk.max[r] = chunk_max;
    } else if (chunk_max > chunk.max[r]) {
      const float correction = max_correction(chunk.max[r], chunk_max, scale);
      chunk.sum[r] *= correction;
      scale_in_place(chunk.out + r * a.out_stride, a.head_dim, correction);
      chunk.max[r] = chunk_max;
    }
    chunk.sum[r] += row_exp(s + lo, hi - lo, chunk.max[r], scale);
  }
  tile_rows(scores, stride, v, chunk.rows, a.head_dim, keys,
            TileC{chunk.out, a.out_stride, nullptr, chunk.out, a.out_stride, nullptr});
}

HWY_INLINE void attend_chunk(const AttentionArgs& a, QueryChunk& chunk, float* scratch) {
  const size_t kv_head = chunk.head / (a.num_heads / a.num_kv_heads), padded_dim = chunk_panel(a.head_dim);
  float* const packed = scratch;
  float* const values = packed + kKeyChunk * a.head_dim;
  float* const scores = values + kKeyChunk * padded_dim;
  size_t begin = a.k_len, end = 0;  // of all rows
  for (size_t r = 0; r < chunk.rows; ++r) {
    chunk.seen[r] = visible_keys(a, chunk.first + r);
    if (chunk.seen[r].begin < chunk.seen[r].end) {
      begin = HWY_MIN(begin, chunk.seen[r].begin);
      end = HWY_MAX(end, chunk.seen[r].end);
    }
    chunk.max[r] = chunk.sum[r] = 0.0f;
    std::fill_n(chunk.out + r * a.out_stride, a.head_dim, 0.0f);
  }
  // Chunks of keys end at multiples of their size, whatever the queries: a row's bits must not depend on the rows
  // beside it.
  for (size_t k0 = begin / kPanelCols * kPanelCols, keys; k0 < end; k0 += keys) {
    keys = HWY_MIN((k0 / kKeyChunk + 1) * kKeyChunk, end) - k0;
    pack_keys(a.k + kv_head * a.head_dim + k0 * a.k_stride, a.k_stride, keys, a.head_dim, packed);
    const float* from = a.v + kv_head * a.head_dim + k0 * a.v_stride;
    TileB v{from, a.v_stride, kPanelCols, from};
    if (a.head_dim != padded_dim) {  // a whole panel would reach into the neighbour's values
      for (size_t j = 0; j < keys; ++j) {
        std::copy_n(from + j * a.v_stride, a.head_dim, values + j * padded_dim);
        std::fill_n(values + j * padded_dim + a.head_dim, padded_dim - a.head_dim, 0.0f);
      }
      v = {values, padded_dim, kPanelCols, values};
    }
    fold_keys(a, chunk, k0, keys, TileB{packed, kPanelCols, kPanelCols * a.head_dim, packed}, v, scores);
  }
  for (size_t r = 0; r < chunk.rows; ++r) {
    scale_in_place(chunk.out + r * a.out_stride, a.head_dim, chunk.sum[r] > 0.0f ? 1.0f / chunk.sum[r] : 0.0f);
  }
}

void chunked_attention_target(const AttentionArgs& a, float* scratch) {
  QueryChunk chunk;
  const size_t chunks = (a.q_len + kQueryChunk - 1) / kQueryChunk;
  for (size_t head = 0; head < a.num_heads; ++head) {
    for (size_t c = 0; c < chunks; ++c) {
      chunk.head = head;
      chunk.first = share_begin(a.q_len, chunks, c);
      chunk.rows = share_begin(a.q_len, chunks, c + 1) - chunk.first;
      chunk.q = a.q + chunk.first * a.q_stride + head * a.head_dim;
      chunk.out = a.out + chunk.first * a.out_stride + head * a.head_dim;
      attend_chunk(a, chunk, scratch);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace wde::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace wde::kernels {
HWY_EXPORT(chunked_attention_target);

size_t chunked_attention_scratch(size_t head_dim) noexcept {
  return kKeyChunk * (head_dim + chunk_panel(head_dim)) + kQueryChunk * padded_stride(kKeyChunk);
}

void chunked_attention(const AttentionArgs& args, float* scratch) noexcept {
  HWY_DYNAMIC_DISPATCH(chunked_attention_target)(args, scratch);
}
}  // namespace wde::kernels
#endif
