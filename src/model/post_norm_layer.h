// A layer of the original Transformer, as BERT and its relatives have it: attention, add, LayerNorm, feed-forward, add,
// LayerNorm, with biases everywhere. Only the names differ.
#pragma once

#include <string>

#include "model/transformer.h"

namespace wde {

// Names inside one layer.
struct PostNormNames {
  std::string q, k, v, attention_out, attention_norm, up, down, output_norm;
};
inline const PostNormNames kBertNames = {
    "attention.self.query",       "attention.self.key", "attention.self.value", "attention.output.dense",
    "attention.output.LayerNorm", "intermediate.dense", "output.dense",         "output.LayerNorm"};

// `prefix`: "encoder.layer.3.".
TransformerLayer& add_post_norm_layer(Transformer& stack, Weights& weights, const std::string& prefix,
                                      const PostNormNames& names, size_t hidden, size_t intermediate,
                                      Activation activation, float eps);

// Q, K and V, each "<name>.weight" [heads * head_dim, in_features] with a bias or without, side by side in one Linear.
struct QkvNames {
  std::string q, k, v;
  bool bias = true;
};
Linear load_qkv(Transformer& stack, Weights& weights, const QkvNames& names, size_t in_features);
// The same where they are one behind the other in a tensor "<name>.weight".
Linear load_fused_qkv(Transformer& stack, Weights& weights, const std::string& name, size_t in_features, bool bias);

}  // namespace wde
