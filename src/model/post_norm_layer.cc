#include "model/post_norm_layer.h"

#include "model/transformer_model.h"

namespace wde {

Linear load_qkv(Transformer& stack, Weights& weights, const QkvNames& names, size_t in_features) {
  const HeadShape& heads = stack.heads();
  const size_t q = heads.num_heads * heads.head_dim, k = heads.num_kv_heads * heads.head_dim;
  Linear qkv(in_features, q + 2 * k, stack.arena());
  qkv.load(weights, WeightRows::of(names.q, q, names.bias), 0);
  qkv.load(weights, WeightRows::of(names.k, k, names.bias), q);
  qkv.load(weights, WeightRows::of(names.v, k, names.bias), q + k);
  return qkv;
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
