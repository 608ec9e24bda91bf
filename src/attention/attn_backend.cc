#include "attention/attn_backend.h"

namespace wde {

Registry<AttnBackendFactory>& attn_backends() {
  static Registry<AttnBackendFactory> registry("attention backend");
  return registry;
}

void AttnBackend::attend(View<const float> q, View<const float> k, View<const float> v, View<float> out, const HeadShape& heads,
                         const AttentionMask& mask, const AttentionBatch& batch, float* scratch) const noexcept {
  const auto cu_rows = batch.cu_rows.empty() ? batch.cu_seqlens : batch.cu_rows;
  kernels::AttentionArgs args;
  args.q_stride = q.stride;
  args.k_stride = k.stride;
  args.v_stride = v.stride;
  args.out_stride = out.stride;
  args.num_heads = heads.num_heads;
  args.num_kv_heads = heads.num_kv_heads;
  args.head_dim = heads.head_dim;
  args.scale = mask.scale;
  args.causal = !bidirectional_;
  args.window_left = mask.window_left;
  args.window_right = mask.window_right;
  args.soft_cap = mask.soft_cap;
  args.alibi_slopes = mask.alibi_slopes;
  args.relative_bias = mask.relative_bias;
  args.relative_span = mask.relative_span;
  for (size_t s = 0; s + 1 < batch.cu_seqlens.size(); ++s) {
    const auto key = static_cast<size_t>(batch.cu_seqlens[s]), query = static_cast<size_t>(cu_rows[s]);
    args.k_len = static_cast<size_t>(batch.cu_seqlens[s + 1]) - key;
    args.q_len = static_cast<size_t>(cu_rows[s + 1]) - query;
    args.q = q.row(query);
    args.k = k.row(key);
    args.v = v.row(key);
    args.out = out.row(query);
    args.q_positions = batch.q_positions.empty() ? nullptr : batch.q_positions.data() + query;
    attend_sequence(args, scratch);
  }
}

}  // namespace wde
