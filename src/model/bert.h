// BERT, and what RoBERTa shares with it: word, position and segment embeddings, LayerNorm, a post-norm encoder.
#pragma once

#include "model/model.h"
#include "model/post_norm_encoder.h"
#include "ops/embedding.h"

namespace wde {

class BertModel : public Model {
 public:
  // first_position: row of the position table that token 0 reads (RoBERTa: padding_idx + 1).
  BertModel(const ConfigView& config, Weights& weights, size_t first_position = 0);

  ModelShape shape() const override { return shape_; }
  std::vector<AttentionMask> masks() const override { return {encoder_.mask()}; }
  size_t weight_bytes() const override { return encoder_.weight_bytes() + position_.bytes() + type_.bytes(); }
  size_t arena_floats(size_t tokens, size_t max_seqlen, size_t team, const AttnBackend& backend) const override {
    return encoder_.arena_floats(tokens, max_seqlen, team, backend);
  }
  void forward(const ModelInput& input, const AttnBackend& backend, Arena& arena, Team& team,
               ModelOutput& output) const override;

 protected:
  // Row of the position table for each token of one sequence; BERT: 0, 1, 2, ….
  virtual size_t position_row(int32_t id, size_t position, size_t& counter) const;

 private:
  ModelShape shape_;
  size_t types_ = 0;
  Embedding word_;
  AddedEmbedding position_, type_;
  LayerNorm norm_;
  PostNormEncoder encoder_;
};

// Sizes that every encoder config has, under the names that it uses for them; checked against each other.
struct EncoderKeys {
  const char *hidden = "hidden_size", *layers = "num_hidden_layers", *heads = "num_attention_heads";
  const char *intermediate = "intermediate_size", *activation = "hidden_act";
};
PostNormConfig read_post_norm_config(const ConfigView& config, const EncoderKeys& keys);
// Throws LoadError if the config asks for what this family does not compute (a decoder, relative positions).
void require_plain_encoder(const ConfigView& config);

}  // namespace wde
