// ELECTRA: BERT's layers behind embeddings that may be narrower than the model.
#include <fmt/format.h>

#include "model/post_norm_layer.h"
#include "model/transformer_model.h"

namespace wde {
namespace {

class ElectraModel final : public TransformerModel {
 public:
  ElectraModel(const ConfigView& config, Weights& weights) {
    require_encoder(config);
    const Sizes sizes = read_sizes(config, {});
    begin(sizes, equal_heads(sizes.hidden, sizes.heads));
    const auto width = static_cast<size_t>(config.integer_or("embedding_size", 128, 1, 1 << 16));
    weights.choose_prefix({"", "electra."}, "embeddings.word_embeddings.weight");
    for (const char* head : {"classifier.", "discriminator_predictions.", "generator_predictions.",
                             "generator_lm_head.", "embeddings.position_ids", "qa_outputs."}) {
      weights.ignore(head);
    }
    embedding_.embedding_size = width;
    embedding_.types = static_cast<size_t>(config.integer_or("type_vocab_size", 2, 1, 1 << 16));
    embedding_.word = Embedding(weights, "embeddings.word_embeddings.weight", sizes.vocab, width);
    embedding_.position = AddedEmbedding(weights, "embeddings.position_embeddings.weight", sizes.positions, width);
    embedding_.type = AddedEmbedding(weights, "embeddings.token_type_embeddings.weight", embedding_.types, width);
    embedding_.norm = Norm::layer(weights, "embeddings.LayerNorm", width, sizes.eps);
    if (width != sizes.hidden)
      embedding_.projection = Linear::from(weights, embedding_.weights, "embeddings_project", width, sizes.hidden);
    for (size_t i = 0; i < sizes.layers; ++i) {
      add_post_norm_layer(transformer_, weights, fmt::format("encoder.layer.{}.", i), kBertNames, sizes.hidden,
                          sizes.intermediate, sizes.activation, sizes.eps);
    }
  }
};

std::unique_ptr<Head> classifier(const HeadContext& context) {
  return make_classifier(context, HeadPooling::kFirst,
                         {{"classifier.dense", Activation::kGelu}, {"classifier.out_proj"}});
}
std::unique_ptr<Head> token_classifier(const HeadContext& context) {
  return make_classifier(context, HeadPooling::kNone, {{"classifier"}});
}

std::unique_ptr<Head> sparse(const HeadContext& context) {
  const auto eps = static_cast<float>(context.config.number_or("layer_norm_eps", 1e-12));
  return make_splade(context,
                     {{"generator_predictions.dense", Activation::kGelu, "generator_predictions.LayerNorm", eps},
                      "generator_lm_head.weight",
                      "embeddings.word_embeddings.weight",
                      ""});
}

WDE_REGISTER(ModelRegistry::instance().add(
    {architecture_names({"Electra"}, {"Model", "ForMaskedLM", "ForPreTraining", "ForSequenceClassification",
                                      "ForTokenClassification"}),
     "electra",
     false,
     [](const ConfigView& config, Weights& weights) { return std::make_unique<ElectraModel>(config, weights); },
     {{"classify", classifier}, {"score", classifier}, {"token_classify", token_classifier}, {"sparse", sparse}}}));

}  // namespace
}  // namespace wde
