#include "attention/attn_backend.h"

#include <algorithm>
#include <numeric>

namespace wde {

Registry<AttnBackendFactory>& attn_backends() {
  static Registry<AttnBackendFactory> registry("attention backend");
  return registry;
}

namespace {

using kernels::AttentionArgs;

// `args` describes all heads and all queries of a sequence.
AttentionArgs only_heads(AttentionArgs args, size_t first_kv_head, size_t kv_heads) {
  const size_t group = args.num_heads / args.num_kv_heads, first = first_kv_head * group;
  args.num_heads = kv_heads * group;
  args.num_kv_heads = kv_heads;
  args.q += first * args.head_dim;
  args.out += first * args.head_dim;
  args.k += first_kv_head * args.head_dim;
  args.v += first_kv_head * args.head_dim;
  if (args.alibi_slopes) args.alibi_slopes += first;
  if (args.relative_bias) args.relative_bias += first * (2 * args.relative_span - 1);
  if (args.c2p) args.c2p += first * args.positions;
  if (args.p2c) args.p2c += first * args.positions;
  return args;
}

AttentionArgs only_queries(AttentionArgs args, Range queries) {
  args.q += queries.begin * args.q_stride;
  args.out += queries.begin * args.out_stride;
  args.q_len = queries.size();
  args.q_begin += queries.begin;
  if (args.q_positions) args.q_positions += queries.begin;
  if (args.c2p) args.c2p += queries.begin * args.c2p_stride;
  return args;
}

// Slices [begin, end) of n queries that are cut into `of`. Under a causal mask later queries have more work: a slice is
// a piece from the front and the one that lies as far from the end.
struct Queries {
  Range front, back;
};
Queries slice_queries(size_t n, size_t begin, size_t end, size_t of, bool causal) {
  if (!causal || (begin == 0 && end == of)) return {{n * begin / of, n * end / of}, {}};
  const size_t pieces = 2 * of;
  const Range front{n * begin / pieces, n * end / pieces};
  const Range back{n * (pieces - end) / pieces, n * (pieces - begin) / pieces};
  if (front.end == back.begin) return {{front.begin, back.end}, {}};
  return {front, back};
}

}  // namespace

void AttnBackend::attend(View<const float> q, View<const float> k, View<const float> v, View<float> out,
                         const HeadShape& heads, const AttentionMask& mask, const AttentionBatch& batch, float* scratch,
                         const Part& part) const noexcept {
  const auto cu_rows = batch.cu_rows.empty() ? batch.cu_seqlens : batch.cu_rows;
  AttentionArgs args;
  args.q_stride = q.stride;
  args.k_stride = k.stride;
  args.v_stride = v.stride;
  args.out_stride = out.stride;
  args.num_heads = heads.num_heads;
  args.num_kv_heads = heads.num_kv_heads;
  args.head_dim = heads.head_dim;
  args.scale = mask.scale;
  args.causal = !bidirectional_ && !mask.bidirectional;
  args.window_left = mask.window_left;
  args.window_right = mask.window_right;
  args.soft_cap = mask.soft_cap;
  args.alibi_slopes = mask.alibi_slopes;
  args.relative_span = mask.relative_span;
  args.relative_bias = mask.relative_bias;
  args.relative_index = mask.relative_index;
  args.positions = mask.positions;
  args.c2p_stride = batch.c2p.stride;
  args.p2c_stride = batch.p2c.stride;

  // Each head's queries are cut into as many slices as it takes for all members to get as many of them.
  const size_t slices = part.size / std::gcd(part.size, heads.num_kv_heads);
  const Range mine = part.share(heads.num_kv_heads * slices);
  for (size_t unit = mine.begin, units; unit < mine.end; unit += units) {
    const size_t begin = unit % slices, end = std::min(slices, begin + mine.end - unit);
    const size_t kv_heads = end - begin == slices ? (mine.end - unit) / slices : 1;  // whole heads go together
    units = kv_heads * (end - begin);
    for (size_t s = 0; s + 1 < batch.cu_seqlens.size(); ++s) {
      const auto key = static_cast<size_t>(batch.cu_seqlens[s]), query = static_cast<size_t>(cu_rows[s]);
      args.k_len = static_cast<size_t>(batch.cu_seqlens[s + 1]) - key;
      args.q_len = static_cast<size_t>(cu_rows[s + 1]) - query;
      args.q = q.row(query);
      args.k = k.row(key);
      args.v = v.row(key);
      args.out = out.row(query);
      args.q_positions = batch.q_positions.empty() ? nullptr : batch.q_positions.data() + query;
      args.c2p = batch.c2p.data ? batch.c2p.row(query) : nullptr;
      args.p2c = batch.p2c.data ? batch.p2c.row(key) : nullptr;
      const AttentionArgs of_heads = only_heads(args, unit / slices, kv_heads);
      const Queries queries = slice_queries(args.q_len, begin, end, slices, args.causal);
      for (const Range& range : {queries.front, queries.back}) {
        if (range.size() > 0) attend_sequence(only_queries(of_heads, range), scratch);
      }
    }
  }
}

}  // namespace wde
