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
}  // namespace wde::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace wde::kernels {
namespace HWY_NAMESPACE {

// A chunk of queries of one head over all its chunks of keys. These end at multiples of their size, whatever the
// queries: a row's bits must not depend on the rows beside it.
HWY_INLINE void attend_chunk(const AttentionArgs& a, const QueryBlock& chunk, float* scratch) {
  const size_t kv_head = chunk.head / (a.num_heads / a.num_kv_heads), padded_dim = round_up(a.head_dim, kPanelCols);
  float* const packed = scratch;
  float* const values = packed + kKeyChunk * a.head_dim;
  const Scores scores{values + kKeyChunk * padded_dim, padded_stride(kKeyChunk)};
  const FloatProducts format(a, nullptr);
  const KeyRange seen = look(a, chunk);
  for (size_t r = 0; r < chunk.rows; ++r) {
    chunk.sum[r] = 0.0f;
    std::fill_n(chunk.out + r * a.out_stride, a.head_dim, 0.0f);
  }
  for (size_t k0 = seen.begin, keys; k0 < seen.end; k0 += keys) {
    keys = HWY_MIN((k0 / kKeyChunk + 1) * kKeyChunk, seen.end) - k0;
    format.pack_keys(a.k + kv_head * a.head_dim + k0 * a.k_stride, a.k_stride, keys, a.head_dim, packed);
    format.pack_values(a.v + kv_head * a.head_dim + k0 * a.v_stride, a.v_stride, keys, a.head_dim, values);
    fold_keys(a, chunk, k0, keys, format, TileB{packed, kPanelCols, kPanelCols * a.head_dim, packed},
              TileB{values, padded_dim, kPanelCols, values}, scores, false);
  }
  for (size_t r = 0; r < chunk.rows; ++r) {
    scale_in_place(chunk.out + r * a.out_stride, a.head_dim, inverse_of(chunk.sum[r]));
  }
}

void chunked_attention_target(const AttentionArgs& a, float* scratch) {
  KeyRange seen[kQueryChunk];
  float max[kQueryChunk], sum[kQueryChunk];
  const size_t chunks = (a.q_len + kQueryChunk - 1) / kQueryChunk;
  for (size_t head = 0; head < a.num_heads; ++head) {
    for (size_t c = 0; c < chunks; ++c) {
      const size_t first = share_begin(a.q_len, chunks, c), rows = share_begin(a.q_len, chunks, c + 1) - first;
      const float* q = a.q + first * a.q_stride + head * a.head_dim;
      float* out = a.out + first * a.out_stride + head * a.head_dim;
      attend_chunk(a, {head, first, rows, q, out, seen, max, sum}, scratch);
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
  return kKeyChunk * (head_dim + (head_dim + 15) / 16 * 16) + kQueryChunk * padded_stride(kKeyChunk);
}

void chunked_attention(const AttentionArgs& args, float* scratch) noexcept {
  HWY_DYNAMIC_DISPATCH(chunked_attention_target)(args, scratch);
}
}  // namespace wde::kernels
#endif
