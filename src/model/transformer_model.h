// TransformerModel: an InputEmbedding and a Transformer, which is what nearly all architectures are. Their files derive
// from it and fill both in the constructor.
#pragma once

#include "model/input_embedding.h"
#include "model/transformer.h"

namespace wde {

class TransformerModel : public Model {
 public:
  ModelShape shape() const override { return shape_; }
  size_t layers() const override { return transformer_.layers(); }
  std::vector<AttentionMask> masks() const override { return transformer_.masks(); }
  size_t weight_bytes() const override {
    return transformer_.weight_bytes() + embedding_.weights.bytes() + embedding_.position.bytes() +
           embedding_.type.bytes();
  }
  bool divides_columns() const override { return transformer_.divides_columns(); }
  bool shares_prefixes() const override { return embedding_.padding_idx < 0 && transformer_.shares_prefixes(); }
  void reserve(size_t max_seqlen) override { transformer_.reserve(max_seqlen); }
  size_t arena_floats(size_t tokens, size_t max_seqlen, size_t team, const AttnBackend& backend) const override {
    return embedding_.arena_floats(tokens) + transformer_.arena_floats(tokens, max_seqlen, team, backend);
  }
  void forward(const ModelInput& input, LayerRange range, const AttnBackend& backend, Arena& arena, Team& team,
               ModelOutput& output) const override {
    const View<float> x = state(input, output);
    if (range.first == 0) embedding_.run(input, x, arena);
    transformer_.forward(x, input, range, backend, arena, team, output);
  }

 protected:
  // The rows that the layers work on [tokens, hidden_size].
  View<float> state(const ModelInput& input, ModelOutput& output) const {
    return input.rows == RowsNeeded::kAll ? output.resize(input.tokens(), shape_.hidden_size)
                                          : output.resize_state(input.tokens(), shape_.hidden_size);
  }

  // Sizes that every architecture has, under the names that most of them use.
  struct Sizes {
    size_t hidden = 0, layers = 0, heads = 0, intermediate = 0, vocab = 0, positions = 0;
    Activation activation = Activation::kGelu;
    float eps = 1e-12f;
  };
  struct SizeKeys {
    std::string_view hidden = "hidden_size", layers = "num_hidden_layers", heads = "num_attention_heads",
                     intermediate = "intermediate_size", positions = "max_position_embeddings",
                     activation = "hidden_act", eps = "layer_norm_eps";
    double default_eps = 1e-12;
    std::string_view default_activation = "gelu";
    int64_t default_positions = 0;  // 0: the key is required
    bool heads_divide_hidden = true;
  };
  static Sizes read_sizes(const ConfigView& config, const SizeKeys& keys);
  // Fills shape_ and makes the empty stack.
  void begin(const Sizes& sizes, const HeadShape& heads);

  ModelShape shape_;
  InputEmbedding embedding_;
  Transformer transformer_;
};

// Refuses what encoders of the BERT kind must not be: decoders, and positions of another kind than `positions`.
void require_encoder(const ConfigView& config, std::string_view positions = "absolute");
inline HeadShape equal_heads(size_t hidden, size_t heads) { return {heads, heads, hidden / heads}; }
// Refuses a head_dim that is another than hidden / heads, for architectures whose files have the key.
void require_equal_heads(const ConfigView& config, size_t hidden, size_t heads);
AttentionMask scaled_mask(size_t head_dim);

}  // namespace wde
