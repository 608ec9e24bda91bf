// DistilBERT: BERT's layers with other names, no segment embeddings, eps fixed at 1e-12.
#include <fmt/format.h>

#include "model/post_norm_layer.h"
#include "model/transformer_model.h"

namespace wde {
namespace {

const PostNormNames kNames = {"attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin",
                              "sa_layer_norm",   "ffn.lin1",        "ffn.lin2",        "output_layer_norm"};

class DistilBertModel final : public TransformerModel {
 public:
  DistilBertModel(const ConfigView& config, Weights& weights) {
    SizeKeys keys{"dim", "n_layers", "n_heads", "hidden_dim"};
    keys.activation = "activation";
    keys.default_positions = 512;
    Sizes sizes = read_sizes(config, keys);
    sizes.eps = 1e-12f;
    begin(sizes, equal_heads(sizes.hidden, sizes.heads));
    weights.choose_prefix({"", "distilbert."}, "embeddings.word_embeddings.weight");
    for (const char* head : {"vocab_transform.", "vocab_layer_norm.", "vocab_projector.", "pre_classifier.",
                             "classifier.", "qa_outputs."}) {
      weights.ignore(head);
    }
    embedding_.word = Embedding(weights, "embeddings.word_embeddings.weight", sizes.vocab, sizes.hidden);
    embedding_.position =
        AddedEmbedding(weights, "embeddings.position_embeddings.weight", sizes.positions, sizes.hidden);
    embedding_.norm = Norm::layer(weights, "embeddings.LayerNorm", sizes.hidden, sizes.eps);
    for (size_t i = 0; i < sizes.layers; ++i) {
      add_post_norm_layer(transformer_, weights, fmt::format("transformer.layer.{}.", i), kNames, sizes.hidden,
                          sizes.intermediate, sizes.activation, sizes.eps);
    }
  }
};

std::unique_ptr<Head> classifier(const HeadContext& context) {
  return make_classifier(context, HeadPooling::kFirst, {{"pre_classifier", Activation::kRelu}, {"classifier"}});
}
std::unique_ptr<Head> token_classifier(const HeadContext& context) {
  return make_classifier(context, HeadPooling::kNone, {{"classifier"}});
}
std::unique_ptr<Head> sparse(const HeadContext& context) {
  const Activation activation = config_activation(context.config, "activation", "gelu");
  return make_splade(context, {{"vocab_transform", activation, "vocab_layer_norm", 1e-12f},
                               "vocab_projector.weight",
                               "embeddings.word_embeddings.weight",
                               "vocab_projector.bias"});
}

WDE_REGISTER(ModelRegistry::instance().add(
    {architecture_names({"DistilBert"},
                        {"Model", "ForMaskedLM", "ForSequenceClassification", "ForTokenClassification"}),
     "distilbert",
     false,
     [](const ConfigView& config, Weights& weights) { return std::make_unique<DistilBertModel>(config, weights); },
     {{"classify", classifier}, {"score", classifier}, {"token_classify", token_classifier}, {"sparse", sparse}}}));

}  // namespace
}  // namespace wde
