// The encoder stack of the original Transformer, as BERT and its relatives have it: attention, add, LayerNorm,
// feed-forward, add, LayerNorm. Knows nothing of embeddings; tensor names come from the architecture's file.
#pragma once

#include <string>
#include <vector>

#include "kernels/activation.h"
#include "model/model.h"
#include "ops/layer_norm.h"
#include "ops/linear.h"

namespace wde {

struct PostNormConfig {
  size_t hidden_size = 0, layers = 0, heads = 0, intermediate_size = 0;
  Activation activation = Activation::kGelu;
  float eps = 1e-12f;
};

// Names inside one layer, behind "<stack>.<number>.".
struct PostNormNames {
  std::string stack;  // "encoder.layer"
  std::string q, k, v, attention_out, attention_norm, up, down, output_norm;
};

class PostNormEncoder {
 public:
  PostNormEncoder() = default;
  PostNormEncoder(const PostNormConfig& config, const PostNormNames& names, Weights& weights);

  HeadShape heads() const { return heads_; }
  AttentionMask mask() const;
  size_t weight_bytes() const { return arena_.bytes(); }
  size_t arena_floats(size_t tokens, size_t max_seqlen, size_t team, const AttnBackend& backend) const;

  // Where the embeddings of the input belong: the output itself, if all its rows are needed, else the arena.
  View<float> embeddings(const ModelInput& input, Arena& arena, ModelOutput& output) const;
  // x [tokens, hidden_size] is overwritten.
  void forward(View<float> x, const ModelInput& input, const AttnBackend& backend, Arena& arena, Team& team,
               ModelOutput& output) const;

 private:
  struct Layer {
    Linear qkv, attention_out, up, down;
    LayerNorm attention_norm, output_norm;
  };
  // What the second half of a layer works in: `inner` is one member's where members have rows of their own, else
  // everybody's.
  void finish_rows(const Layer& layer, View<const float> context, View<float> x, View<float> inner) const;
  void finish_columns(const Layer& layer, View<const float> context, View<float> x, View<float> inner,
                      const Part& part) const;

  PostNormConfig config_;
  HeadShape heads_;
  WeightArena arena_;
  std::vector<Layer> layers_;
};

}  // namespace wde
