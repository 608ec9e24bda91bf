#include "model/jina_v3.h"

#include <fmt/format.h>

#include "model/post_norm_layer.h"
#include "model/transformer_model.h"

namespace wde {
namespace {

class JinaV3Model final : public TransformerModel {
 public:
  JinaV3Model(const ConfigView& config, Weights& weights) {
    require_encoder(config, "rotary");
    SizeKeys keys;
    keys.default_eps = 1e-5;
    const Sizes sizes = read_sizes(config, keys);
    const HeadShape heads = equal_heads(sizes.hidden, sizes.heads);
    require_equal_heads(config, sizes.hidden, sizes.heads);
    begin(sizes, heads);
    weights.choose_prefix({"", "roberta.", "model."}, "embeddings.word_embeddings.weight");
    for (const char* head : {"pooler.", "lm_head.", "classifier."}) weights.ignore(head);
    embedding_.word = Embedding(weights, "embeddings.word_embeddings.weight", sizes.vocab, sizes.hidden);
    embedding_.types = static_cast<size_t>(config.integer_or("type_vocab_size", 1, 0, 1 << 16));
    if (embedding_.types > 0)
      embedding_.type =
          AddedEmbedding(weights, "embeddings.token_type_embeddings.weight", embedding_.types, sizes.hidden);
    embedding_.norm = Norm::layer(weights, "emb_ln", sizes.hidden, sizes.eps);
    const Rope* rope = transformer_.add_rope(rope_of(config), heads.head_dim);
    for (size_t i = 0; i < sizes.layers; ++i) {
      const std::string name = fmt::format("encoder.layers.{}.", i);
      TransformerLayer& layer = transformer_.add_layer();
      WeightArena& arena = transformer_.arena();
      layer.qkv = load_fused_qkv(transformer_, weights, name + "mixer.Wqkv", sizes.hidden, true);
      layer.mask = scaled_mask(heads.head_dim);
      layer.rope = rope;
      layer.out = Linear::from(weights, arena, name + "mixer.out_proj", sizes.hidden, sizes.hidden);
      layer.attention_sum = Norm::layer(weights, name + "norm1", sizes.hidden, sizes.eps);
      layer.up = Linear::from(weights, arena, name + "mlp.fc1", sizes.hidden, sizes.intermediate);
      layer.activation = sizes.activation;
      layer.down = Linear::from(weights, arena, name + "mlp.fc2", sizes.intermediate, sizes.hidden);
      layer.mlp_sum = Norm::layer(weights, name + "norm2", sizes.hidden, sizes.eps);
    }
  }

 private:
  // transformers' keys, else Jina's.
  static RopeConfig rope_of(const ConfigView& config) {
    if (config.has("rope_parameters") || config_model_type(config) == "jina_embeddings_v3")
      return config_rope(config, {.default_theta = 20000.0});
    RopeConfig out;
    out.theta = config.number("rotary_emb_base");
    return out;
  }
};

std::unique_ptr<Head> classifier(const HeadContext& context) {
  return make_classifier(context, HeadPooling::kFirst,
                         {{"classifier.dense", Activation::kTanh}, {"classifier.out_proj"}});
}
std::unique_ptr<Head> token_classifier(const HeadContext& context) {
  return make_classifier(context, HeadPooling::kNone, {{"classifier"}});
}
std::unique_ptr<Head> sparse(const HeadContext& context) {
  const auto eps = static_cast<float>(context.config.number_or("layer_norm_eps", 1e-5));
  return make_splade(context, {{"lm_head.dense", Activation::kGelu, "lm_head.layer_norm", eps},
                               "lm_head.decoder.weight",
                               "embeddings.word_embeddings.weight",
                               "lm_head.bias"});
}

WDE_REGISTER(ModelRegistry::instance().add(
    {architecture_names({"JinaEmbeddingsV3"},
                        {"Model", "ForMaskedLM", "ForSequenceClassification", "ForTokenClassification"}),
     "jina_embeddings_v3",
     false,
     make_jina_v3,
     {{"classify", classifier}, {"score", classifier}, {"token_classify", token_classifier}, {"sparse", sparse}}}));

}  // namespace

bool is_jina_v3(const Weights& weights) { return weights.has("roberta.emb_ln.weight") || weights.has("emb_ln.weight"); }

std::unique_ptr<Model> make_jina_v3(const ConfigView& config, Weights& weights) {
  return std::make_unique<JinaV3Model>(config, weights);
}

}  // namespace wde
