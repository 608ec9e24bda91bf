// ALBERT: narrow embeddings, and layers that share their weights in groups.
#include <fmt/format.h>

#include "model/post_norm_layer.h"
#include "model/transformer_model.h"

namespace wde {
namespace {

const PostNormNames kNames = {"attention.query",     "attention.key", "attention.value", "attention.dense",
                              "attention.LayerNorm", "ffn",           "ffn_output",      "full_layer_layer_norm"};

class AlbertModel final : public TransformerModel {
 public:
  AlbertModel(const ConfigView& config, Weights& weights) {
    require_encoder(config);
    SizeKeys keys;
    keys.default_activation = "gelu_new";
    const Sizes sizes = read_sizes(config, keys);
    begin(sizes, equal_heads(sizes.hidden, sizes.heads));
    const auto width = static_cast<size_t>(config.integer_or("embedding_size", 128, 1, 1 << 16));
    const auto groups = static_cast<size_t>(config.integer_or("num_hidden_groups", 1, 1, 1024));
    const auto inner = static_cast<size_t>(config.integer_or("inner_group_num", 1, 1, 64));
    weights.choose_prefix({"", "albert."}, "embeddings.word_embeddings.weight");
    for (const char* head :
         {"pooler.", "predictions.", "classifier.", "sop_classifier.", "qa_outputs.", "embeddings.position_ids"}) {
      weights.ignore(head);
    }
    embedding_.embedding_size = width;
    embedding_.types = static_cast<size_t>(config.integer_or("type_vocab_size", 2, 1, 1 << 16));
    embedding_.word = Embedding(weights, "embeddings.word_embeddings.weight", sizes.vocab, width);
    embedding_.position = AddedEmbedding(weights, "embeddings.position_embeddings.weight", sizes.positions, width);
    embedding_.type = AddedEmbedding(weights, "embeddings.token_type_embeddings.weight", embedding_.types, width);
    embedding_.norm = Norm::layer(weights, "embeddings.LayerNorm", width, sizes.eps);
    embedding_.projection =
        Linear::from(weights, embedding_.weights, "encoder.embedding_hidden_mapping_in", width, sizes.hidden);
    // Layer i is one of group i * groups / layers; a group runs all its inner layers each time.
    size_t loaded = 0;
    for (size_t i = 0; i < sizes.layers; ++i) {
      const size_t group = i * groups / sizes.layers;
      for (size_t j = 0; j < inner; ++j) {
        if (group < loaded) {
          transformer_.repeat_layer(group * inner + j);
          continue;
        }
        add_post_norm_layer(transformer_, weights,
                            fmt::format("encoder.albert_layer_groups.{}.albert_layers.{}.", group, j), kNames,
                            sizes.hidden, sizes.intermediate, sizes.activation, sizes.eps);
      }
      loaded = group + 1;
    }
  }
};

std::unique_ptr<Head> classifier(const HeadContext& context) {
  return make_classifier(context, HeadPooling::kFirst, {{"pooler", Activation::kTanh}, {"classifier"}});
}
std::unique_ptr<Head> token_classifier(const HeadContext& context) {
  return make_classifier(context, HeadPooling::kNone, {{"classifier"}});
}

std::unique_ptr<Head> sparse(const HeadContext& context) {
  const auto eps = static_cast<float>(context.config.number_or("layer_norm_eps", 1e-12));
  const Activation activation = config_activation(context.config, "hidden_act", "gelu_new");
  return make_splade(context, {{"predictions.dense", activation, "predictions.LayerNorm", eps},
                               "predictions.decoder.weight",
                               "embeddings.word_embeddings.weight",
                               "predictions.bias"});
}

WDE_REGISTER(ModelRegistry::instance().add(
    {architecture_names({"Albert"}, {"Model", "ForMaskedLM", "ForPreTraining", "ForSequenceClassification",
                                     "ForTokenClassification"}),
     "albert",
     false,
     [](const ConfigView& config, Weights& weights) { return std::make_unique<AlbertModel>(config, weights); },
     {{"classify", classifier}, {"score", classifier}, {"token_classify", token_classifier}, {"sparse", sparse}}}));

}  // namespace
}  // namespace wde
