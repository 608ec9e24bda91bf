#include "attention/attn_backend.h"

namespace wde {

Registry<AttnBackendFactory>& attn_backends() {
  static Registry<AttnBackendFactory> registry("attention backend");
  return registry;
}

void AttnBackend::attend(View<const float> q, View<const float> k, View<const float> v, View<float> out,
                         const HeadShape& heads, const AttentionMask& mask, const AttentionBatch& batch, float* scratch,
                         const Part& part) const noexcept {
  const Range kv_heads = part.share(heads.num_kv_heads);
  if (kv_heads.size() == 0) return;
  const size_t group = heads.num_heads / heads.num_kv_heads, first_head = kv_heads.begin * group;
  const size_t q_offset = first_head * heads.head_dim, kv_offset = kv_heads.begin * heads.head_dim;
  const auto cu_rows = batch.cu_rows.empty() ? batch.cu_seqlens : batch.cu_rows;
  kernels::AttentionArgs args;
  args.q_stride = q.stride;
  args.k_stride = k.stride;
  args.v_stride = v.stride;
  args.out_stride = out.stride;
  args.num_heads = kv_heads.size() * group;
  args.num_kv_heads = kv_heads.size();
  args.head_dim = heads.head_dim;
  args.scale = mask.scale;
  args.causal = !bidirectional_;
  args.window_left = mask.window_left;
  args.window_right = mask.window_right;
  args.soft_cap = mask.soft_cap;
  args.alibi_slopes = mask.alibi_slopes ? mask.alibi_slopes + first_head : nullptr;
  args.relative_bias = mask.relative_bias ? mask.relative_bias + first_head * (2 * mask.relative_span - 1) : nullptr;
  args.relative_span = mask.relative_span;
  for (size_t s = 0; s + 1 < batch.cu_seqlens.size(); ++s) {
    const auto key = static_cast<size_t>(batch.cu_seqlens[s]), query = static_cast<size_t>(cu_rows[s]);
    args.k_len = static_cast<size_t>(batch.cu_seqlens[s + 1]) - key;
    args.q_len = static_cast<size_t>(cu_rows[s + 1]) - query;
    args.q = q.row(query) + q_offset;
    args.k = k.row(key) + kv_offset;
    args.v = v.row(key) + kv_offset;
    args.out = out.row(query) + q_offset;
    args.q_positions = batch.q_positions.empty() ? nullptr : batch.q_positions.data() + query;
    attend_sequence(args, scratch);
  }
}

}  // namespace wde
