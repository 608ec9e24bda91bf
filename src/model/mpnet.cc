// MPNet: BERT's layers, positions as in RoBERTa, and a bias on the attention's logits by relative position, which all
// layers share (T5's buckets).
#include <fmt/format.h>

#include "model/post_norm_layer.h"
#include "model/relative_bias.h"
#include "model/transformer_model.h"

namespace wde {
namespace {

const PostNormNames kNames = {"attention.attn.q",    "attention.attn.k",   "attention.attn.v", "attention.attn.o",
                              "attention.LayerNorm", "intermediate.dense", "output.dense",     "output.LayerNorm"};

size_t mpnet_positions(const ConfigView& config) {
  const auto table = static_cast<size_t>(config.integer("max_position_embeddings", 1, 1 << 24));
  if (table <= 2) throw LoadError(config.file() + ": max_position_embeddings must be above 2");
  return table - 2;
}

class MPNetModel final : public TransformerModel {
 public:
  MPNetModel(const ConfigView& config, Weights& weights) {
    require_encoder(config);
    Sizes sizes = read_sizes(config, {});
    const size_t table = sizes.positions;
    embedding_.padding_idx = 1;  // fixed in transformers, whatever pad_token_id is
    sizes.positions = mpnet_positions(config);
    begin(sizes, equal_heads(sizes.hidden, sizes.heads));
    weights.choose_prefix({"", "mpnet."}, "embeddings.word_embeddings.weight");
    for (const char* head : {"pooler.", "lm_head.", "classifier.", "qa_outputs.", "embeddings.position_ids"})
      weights.ignore(head);
    embedding_.word = Embedding(weights, "embeddings.word_embeddings.weight", sizes.vocab, sizes.hidden);
    embedding_.position = AddedEmbedding(weights, "embeddings.position_embeddings.weight", table, sizes.hidden);
    embedding_.norm = Norm::layer(weights, "embeddings.LayerNorm", sizes.hidden, sizes.eps);
    // transformers has a table of as many rows as the config says and looks into 32 of them.
    constexpr int64_t kBuckets = 32;
    if (config.integer_or("relative_attention_num_buckets", kBuckets, 1, 1 << 12) != kBuckets)
      throw LoadError(config.file() + ": relative_attention_num_buckets must be 32");
    bias_ = RelativeBias(weights, "encoder.relative_attention_bias.weight", kBuckets, 128, sizes.heads);
    for (size_t i = 0; i < sizes.layers; ++i) {
      add_post_norm_layer(transformer_, weights, fmt::format("encoder.layer.{}.", i), kNames, sizes.hidden,
                          sizes.intermediate, sizes.activation, sizes.eps);
    }
    reserve(1);
  }

  void reserve(size_t max_seqlen) override {
    TransformerModel::reserve(max_seqlen);
    bias_.reserve(max_seqlen);
    for (size_t i = 0; i < transformer_.layers(); ++i) bias_.set(transformer_.layer(i).mask);
  }

 private:
  RelativeBias bias_;
};

std::unique_ptr<Head> classifier(const HeadContext& context) {
  return make_classifier(context, HeadPooling::kFirst,
                         {{"classifier.dense", Activation::kTanh}, {"classifier.out_proj"}});
}
std::unique_ptr<Head> token_classifier(const HeadContext& context) {
  return make_classifier(context, HeadPooling::kNone, {{"classifier"}});
}

std::unique_ptr<Head> sparse(const HeadContext& context) {
  const auto eps = static_cast<float>(context.config.number_or("layer_norm_eps", 1e-12));
  return make_splade(context, {{"lm_head.dense", Activation::kGelu, "lm_head.layer_norm", eps},
                               "lm_head.decoder.weight",
                               "embeddings.word_embeddings.weight",
                               "lm_head.bias"});
}

WDE_REGISTER(ModelRegistry::instance().add(
    {architecture_names({"MPNet"}, {"Model", "ForMaskedLM", "ForSequenceClassification", "ForTokenClassification"}),
     "mpnet",
     false,
     [](const ConfigView& config, Weights& weights) { return std::make_unique<MPNetModel>(config, weights); },
     {{"classify", classifier}, {"score", classifier}, {"token_classify", token_classifier}, {"sparse", sparse}},
     {},
     mpnet_positions}));

}  // namespace
}  // namespace wde
