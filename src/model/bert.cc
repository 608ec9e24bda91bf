// BERT, and its relatives that differ in how positions count: RoBERTa, XLM-RoBERTa, CamemBERT.
#include <fmt/format.h>

#include "model/jina_v3.h"
#include "model/post_norm_layer.h"
#include "model/transformer_model.h"

namespace wde {
namespace {

size_t roberta_positions(const ConfigView& config) {
  const auto table = static_cast<size_t>(config.integer("max_position_embeddings", 1, 1 << 24));
  const auto first = static_cast<size_t>(config.integer_or("pad_token_id", 1, 0, 1 << 20)) + 1;
  if (table <= first) {
    throw LoadError(
        fmt::format("{}: max_position_embeddings is {}, expected more than {}", config.file(), table, first));
  }
  return table - first;
}

class BertModel final : public TransformerModel {
 public:
  BertModel(const ConfigView& config, Weights& weights, bool roberta) {
    require_encoder(config);
    Sizes sizes = read_sizes(config, {});
    const size_t table = sizes.positions;
    if (roberta) {
      embedding_.padding_idx = static_cast<int32_t>(config.integer_or("pad_token_id", 1, 0, 1 << 20));
      sizes.positions = roberta_positions(config);
    }
    begin(sizes, equal_heads(sizes.hidden, sizes.heads));

    weights.choose_prefix({"", "bert.", "roberta.", "xlm-roberta.", "model."}, "embeddings.word_embeddings.weight");
    // Heads of other tasks, and a buffer that old checkpoints saved.
    for (const char* head :
         {"pooler.", "cls.", "lm_head.", "classifier.", "qa_outputs.", "embeddings.position_ids", "linear."}) {
      weights.ignore(head);
    }
    embedding_.types = static_cast<size_t>(config.integer_or("type_vocab_size", 2, 1, 1 << 16));
    embedding_.word = Embedding(weights, "embeddings.word_embeddings.weight", sizes.vocab, sizes.hidden);
    embedding_.position = AddedEmbedding(weights, "embeddings.position_embeddings.weight", table, sizes.hidden);
    embedding_.type =
        AddedEmbedding(weights, "embeddings.token_type_embeddings.weight", embedding_.types, sizes.hidden);
    embedding_.norm = Norm::layer(weights, "embeddings.LayerNorm", sizes.hidden, sizes.eps);
    for (size_t i = 0; i < sizes.layers; ++i) {
      add_post_norm_layer(transformer_, weights, fmt::format("encoder.layer.{}.", i), kBertNames, sizes.hidden,
                          sizes.intermediate, sizes.activation, sizes.eps);
    }
  }
};

std::unique_ptr<Head> bert_classifier(const HeadContext& context) {
  return make_classifier(context, HeadPooling::kFirst, {{"pooler.dense", Activation::kTanh}, {"classifier"}});
}
std::unique_ptr<Head> roberta_classifier(const HeadContext& context) {
  return make_classifier(context, HeadPooling::kFirst,
                         {{"classifier.dense", Activation::kTanh}, {"classifier.out_proj"}});
}
std::unique_ptr<Head> token_classifier(const HeadContext& context) {
  return make_classifier(context, HeadPooling::kNone, {{"classifier"}});
}

float eps_of(const HeadContext& context) {
  return static_cast<float>(context.config.number_or("layer_norm_eps", 1e-12));
}
std::unique_ptr<Head> bert_sparse(const HeadContext& context) {
  return make_splade(context,
                     {{"cls.predictions.transform.dense", config_activation(context.config, "hidden_act", "gelu"),
                       "cls.predictions.transform.LayerNorm", eps_of(context)},
                      "cls.predictions.decoder.weight",
                      "embeddings.word_embeddings.weight",
                      "cls.predictions.bias"});
}
std::unique_ptr<Head> roberta_sparse(const HeadContext& context) {
  if (has_m3(context)) return make_m3(context);
  return make_splade(context, {{"lm_head.dense", Activation::kGelu, "lm_head.layer_norm", eps_of(context)},
                               "lm_head.decoder.weight",
                               "embeddings.word_embeddings.weight",
                               "lm_head.bias"});
}

bool add_roberta(const std::string& family, const std::string& model_type) {
  return ModelRegistry::instance().add(
      {architecture_names({family}, {"Model", "ForMaskedLM", "ForSequenceClassification", "ForTokenClassification"}),
       model_type,
       false,
       [](const ConfigView& config, Weights& weights) -> std::unique_ptr<Model> {
         if (is_jina_v3(weights)) return make_jina_v3(config, weights);
         return std::make_unique<BertModel>(config, weights, true);
       },
       {{"classify", roberta_classifier},
        {"score", roberta_classifier},
        {"token_classify", token_classifier},
        {"sparse", roberta_sparse},
        {"multi_vector", make_m3},
        {"all", make_m3}},
       {},
       [](const ConfigView& config) -> size_t {
         const bool rotary = config.string_or("position_embedding_type", "absolute") == "rotary";  // Jina's
         if (rotary) return static_cast<size_t>(config.integer("max_position_embeddings", 1, 1 << 24));
         return roberta_positions(config);
       }});
}

WDE_REGISTER(ModelRegistry::instance().add(
    {architecture_names({"Bert"}, {"Model", "ForMaskedLM", "ForPreTraining", "ForSequenceClassification",
                                   "ForTokenClassification"}),
     "bert",
     false,
     [](const ConfigView& config, Weights& weights) { return std::make_unique<BertModel>(config, weights, false); },
     {{"classify", bert_classifier},
      {"score", bert_classifier},
      {"token_classify", token_classifier},
      {"sparse", bert_sparse}}}));
WDE_REGISTER(add_roberta("Roberta", "roberta"));
WDE_REGISTER(add_roberta("XLMRoberta", "xlm-roberta"));
WDE_REGISTER(add_roberta("Camembert", "camembert"));

}  // namespace
}  // namespace wde
