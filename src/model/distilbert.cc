// DistilBERT: BERT's encoder with other names, no segment embeddings, eps fixed at 1e-12.
#include "model/bert.h"

namespace wde {
namespace {

class DistilBertModel final : public Model {
 public:
  DistilBertModel(const ConfigView& config, Weights& weights) {
    const PostNormConfig encoder =
        read_post_norm_config(config, {"dim", "n_layers", "n_heads", "hidden_dim", "activation"});
    shape_.hidden_size = encoder.hidden_size;
    shape_.vocab_size = static_cast<size_t>(config.integer("vocab_size", 1, 1 << 24));
    shape_.positions = static_cast<size_t>(config.integer_or("max_position_embeddings", 512, 1, 1 << 24));
    weights.choose_prefix({"", "distilbert."}, "embeddings.word_embeddings.weight");
    for (const char* head : {"vocab_transform.", "vocab_layer_norm.", "vocab_projector.", "pre_classifier.",
                             "classifier.", "qa_outputs."}) {
      weights.ignore(head);
    }
    word_ = Embedding(weights, "embeddings.word_embeddings.weight", shape_.vocab_size, shape_.hidden_size);
    position_ = AddedEmbedding(weights, "embeddings.position_embeddings.weight", shape_.positions, shape_.hidden_size);
    norm_ = LayerNorm(weights, "embeddings.LayerNorm", shape_.hidden_size, encoder.eps);
    encoder_ = PostNormEncoder(encoder,
                               {"transformer.layer", "attention.q_lin", "attention.k_lin", "attention.v_lin",
                                "attention.out_lin", "sa_layer_norm", "ffn.lin1", "ffn.lin2", "output_layer_norm"},
                               weights);
    shape_.heads = encoder_.heads();
  }

  ModelShape shape() const override { return shape_; }
  std::vector<AttentionMask> masks() const override { return {encoder_.mask()}; }
  size_t weight_bytes() const override { return encoder_.weight_bytes() + position_.bytes(); }
  size_t arena_floats(size_t tokens, size_t max_seqlen, size_t team, const AttnBackend& backend) const override {
    return encoder_.arena_floats(tokens, max_seqlen, team, backend);
  }

  void forward(const ModelInput& input, const AttnBackend& backend, Arena& arena, Team& team,
               ModelOutput& output) const override {
    const View<float> x = encoder_.embeddings(input, arena, output);
    for (size_t t = 0; t < input.tokens(); ++t) {
      word_.copy(static_cast<size_t>(input.ids[t]), x.row(t));
      position_.add(static_cast<size_t>(input.positions[t]), x.row(t));
    }
    norm_.run(x, x);
    encoder_.forward(x, input, backend, arena, team, output);
  }

 private:
  ModelShape shape_;
  Embedding word_;
  AddedEmbedding position_;
  LayerNorm norm_;
  PostNormEncoder encoder_;
};

WDE_REGISTER(ModelRegistry::instance().add({{"DistilBertModel", "DistilBertForMaskedLM",
                                             "DistilBertForSequenceClassification", "DistilBertForTokenClassification"},
                                            "distilbert",
                                            false,
                                            encoder_workflows(),
                                            [](const ConfigView& config, Weights& weights) {
                                              return std::make_unique<DistilBertModel>(config, weights);
                                            }}));

}  // namespace
}  // namespace wde
