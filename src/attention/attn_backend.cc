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
  args.q += first * args.head_floats();
  args.out += first * args.head_dim;
  args.k += first_kv_head * args.head_floats();
  args.v += first_kv_head * args.head_floats();
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

// Prefix and own rows of one head, one behind the other.
const float* gather_head(View<const float> x, size_t head, size_t head_dim, Range prefix, Range own, float* to) {
  float* row = to;
  for (const Range& rows : {prefix, own}) {
    for (size_t r = rows.begin; r < rows.end; ++r, row += head_dim) {
      std::copy_n(x.row(r) + head * head_dim, head_dim, row);
    }
  }
  return to;
}

size_t whole_lines(size_t floats) { return (floats + 15) / 16 * 16; }

}  // namespace

size_t AttnBackend::member_scratch_floats(size_t max_seqlen, const HeadShape& heads) const {
  // One head's keys and values, where prefixes may be shared.
  const size_t gathered = bidirectional_ ? 0 : 2 * whole_lines(max_seqlen * heads.head_dim);
  return whole_lines(scratch_floats(max_seqlen, heads)) + gathered;
}

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
  args.bf16 = mask.bf16;
  args.rounded = batch.rounded;
  args.causal = !bidirectional_ && !mask.bidirectional;
  const int64_t growth = args.causal ? 0 : mask.bidirectional_growth;
  args.window_left = mask.window_left < 0 ? mask.window_left : mask.window_left + growth;
  args.window_right = mask.window_right < 0 ? mask.window_right : mask.window_right + growth;
  args.soft_cap = mask.soft_cap;
  args.alibi_slopes = mask.alibi_slopes;
  args.relative_span = mask.relative_span;
  args.relative_bias = mask.relative_bias;
  args.relative_index = mask.relative_index;
  args.positions = mask.positions;
  args.c2p_stride = batch.c2p.stride;
  args.p2c_stride = batch.p2c.stride;

  float* const gathered_k =
      batch.prefix_lens.empty() ? nullptr : scratch + whole_lines(scratch_floats(batch.max_seqlen, heads));

  // Each head's queries are cut into as many slices as it takes for all members to get as many of them.
  const size_t slices = part.size / std::gcd(part.size, heads.num_kv_heads);
  const Range mine = part.share(heads.num_kv_heads * slices);
  for (size_t unit = mine.begin, units; unit < mine.end; unit += units) {
    const size_t begin = unit % slices, end = std::min(slices, begin + mine.end - unit);
    const size_t kv_heads = end - begin == slices ? (mine.end - unit) / slices : 1;  // whole heads go together
    units = kv_heads * (end - begin);
    for (size_t s = 0; s + 1 < batch.cu_seqlens.size(); ++s) {
      const auto key = static_cast<size_t>(batch.cu_seqlens[s]), query = static_cast<size_t>(cu_rows[s]);
      const size_t unseen = s < batch.unseen_lens.size() ? static_cast<size_t>(batch.unseen_lens[s]) : 0;
      args.k_len = static_cast<size_t>(batch.cu_seqlens[s + 1]) - key - unseen;
      args.q_len = static_cast<size_t>(cu_rows[s + 1]) - query;
      args.q = q.row(query);
      args.k = k.row(key);
      args.v = v.row(key);
      args.out = out.row(query);
      args.q_positions = batch.q_positions.empty() ? nullptr : batch.q_positions.data() + query;
      args.c2p = batch.c2p.data ? batch.c2p.row(query) : nullptr;
      args.p2c = batch.p2c.data ? batch.p2c.row(key) : nullptr;
      const Queries queries = slice_queries(args.q_len, begin, end, slices, args.causal);
      const auto attend_queries = [&](const AttentionArgs& of_heads) {
        for (const Range& range : {queries.front, queries.back}) {
          if (range.size() > 0) attend_sequence(only_queries(of_heads, range), scratch);
        }
      };
      const size_t prefix_len = batch.prefix_lens.empty() ? 0 : static_cast<size_t>(batch.prefix_lens[s]);
      if (prefix_len == 0) {
        args.q_begin = 0;
        attend_queries(only_heads(args, unit / slices, kv_heads));
        continue;
      }
      const auto prefix_row = static_cast<size_t>(batch.prefix_rows[s]);
      const Range prefix{prefix_row, prefix_row + prefix_len}, own{key, key + args.k_len};
      args.k_len += prefix_len;
      args.q_begin = prefix_len;
      float* const gathered_v = gathered_k + whole_lines(args.k_len * heads.head_dim);
      for (size_t head = unit / slices; head < unit / slices + kv_heads; ++head) {
        AttentionArgs of_head = only_heads(args, head, 1);
        of_head.k = gather_head(k, head, heads.head_dim, prefix, own, gathered_k);
        of_head.v = gather_head(v, head, heads.head_dim, prefix, own, gathered_v);
        of_head.k_stride = of_head.v_stride = heads.head_dim;
        attend_queries(of_head);
      }
    }
  }
}

}  // namespace wde
