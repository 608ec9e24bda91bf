#include "model/post_norm_layer.h"

#include "model/transformer_model.h"

namespace wde {

namespace {

// Of each, the heads that this process keeps.
Linear side_by_side(Transformer& stack, Weights& weights, const WeightRows& q, const WeightRows& k, const WeightRows& v,
                    size_t in_features) {
  const HeadShape& heads = stack.heads();
  const Range kept = weights.portion().columns(heads.num_kv_heads, 1);
  const size_t k_width = heads.head_dim, q_width = heads.num_heads / heads.num_kv_heads * heads.head_dim;
  const Range q_rows{kept.begin * q_width, kept.end * q_width}, k_rows{kept.begin * k_width, kept.end * k_width};
  Linear qkv(in_features, q_rows.size() + 2 * k_rows.size(), stack.arena());
  qkv.load(weights, q.slice(q_rows), 0);
  qkv.load(weights, k.slice(k_rows), q_rows.size());
  qkv.load(weights, v.slice(k_rows), q_rows.size() + k_rows.size());
  return qkv;
}

}  // namespace

Linear load_qkv(Transformer& stack, Weights& weights, const QkvNames& names, size_t in_features) {
  const HeadShape& heads = stack.heads();
  const size_t q = heads.num_heads * heads.head_dim, k = heads.num_kv_heads * heads.head_dim;
  return side_by_side(stack, weights, WeightRows::of(names.q, q, names.bias), WeightRows::of(names.k, k, names.bias),
                      WeightRows::of(names.v, k, names.bias), in_features);
}

Linear load_fused_qkv(Transformer& stack, Weights& weights, const std::string& name, size_t in_features, bool bias) {
  const HeadShape& heads = stack.heads();
  const size_t q = heads.num_heads * heads.head_dim, k = heads.num_kv_heads * heads.head_dim;
  const WeightRows all = WeightRows::of(name, q + 2 * k, bias);
  return side_by_side(stack, weights, all.slice({0, q}), all.slice({q, q + k}), all.slice({q + k, q + 2 * k}),
                      in_features);
}

TransformerLayer& add_post_norm_layer(Transformer& stack, Weights& weights, const std::string& prefix,
                                      const PostNormNames& names, size_t hidden, size_t intermediate,
                                      Activation activation, float eps) {
  TransformerLayer& layer = stack.add_layer();
  WeightArena& arena = stack.arena();
  layer.qkv = load_qkv(stack, weights, {prefix + names.q, prefix + names.k, prefix + names.v}, hidden);
  layer.mask = scaled_mask(stack.heads().head_dim);
  layer.out = Linear::from(weights, arena, prefix + names.attention_out, hidden, hidden);
  layer.attention_sum = Norm::layer(weights, prefix + names.attention_norm, hidden, eps);
  layer.activation = activation;
  layer.up = Linear::from(weights, arena, prefix + names.up, hidden, intermediate);
  layer.down = Linear::from(weights, arena, prefix + names.down, intermediate, hidden);
  layer.mlp_sum = Norm::layer(weights, prefix + names.output_norm, hidden, eps);
  return layer;
}

}  // namespace wde
