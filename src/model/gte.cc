// GTE-new (gte-*-v1.5, gte-multilingual, Snowflake Arctic m-v2.0): LayerNorms behind, rotary positions, gated
// feed-forward, fused projections. "GteModel" in transformers, "NewModel" in Alibaba's own code; the tensors are the
// same.
#include <fmt/format.h>

#include "model/post_norm_layer.h"
#include "model/transformer_model.h"

namespace wde {
namespace {

class GteModel final : public TransformerModel {
 public:
  GteModel(const ConfigView& config, Weights& weights) {
    require_encoder(config, "rope");
    for (const char* key : {"logn_attention_scale", "logn_attention_clip1"}) {
      if (config.boolean_or(key, false))
        throw LoadError(fmt::format("{}: {} is true, which is not supported", config.file(), key));
    }
    const std::string norm_type = config.string_or("layer_norm_type", "layer_norm");
    if (norm_type != "layer_norm")
      throw LoadError(fmt::format("{}: layer_norm_type is '{}', expected 'layer_norm'", config.file(), norm_type));
    const Sizes sizes = read_sizes(config, {});
    const HeadShape heads = equal_heads(sizes.hidden, sizes.heads);
    require_equal_heads(config, sizes.hidden, sizes.heads);
    begin(sizes, heads);
    weights.choose_prefix({"", "new.", "model.", "gte."}, "embeddings.word_embeddings.weight");
    for (const char* head : {"pooler.", "classifier.", "lm_head.", "cls.", "embeddings.position_ids"})
      weights.ignore(head);
    embedding_.word = Embedding(weights, "embeddings.word_embeddings.weight", sizes.vocab, sizes.hidden);
    embedding_.types = static_cast<size_t>(config.integer_or("type_vocab_size", 1, 0, 1 << 16));
    if (embedding_.types > 0) {
      embedding_.type =
          AddedEmbedding(weights, "embeddings.token_type_embeddings.weight", embedding_.types, sizes.hidden);
    }
    embedding_.norm = Norm::layer(weights, "embeddings.LayerNorm", sizes.hidden, sizes.eps);
    const double theta = config_model_type(config) == "gte" ? 160000.0 : 10000.0;  // transformers' | Alibaba's
    const Rope* rope = transformer_.add_rope(config_rope(config, {.default_theta = theta}), heads.head_dim);
    for (size_t i = 0; i < sizes.layers; ++i) {
      const std::string name = fmt::format("encoder.layer.{}.", i);
      TransformerLayer& layer = transformer_.add_layer();
      WeightArena& arena = transformer_.arena();
      const std::string self = name + "attention.";
      layer.qkv =
          weights.has(self + "qkv_proj.weight")
              ? load_fused_qkv(transformer_, weights, self + "qkv_proj", sizes.hidden, true)
              : load_qkv(transformer_, weights, {self + "q_proj", self + "k_proj", self + "v_proj"}, sizes.hidden);
      layer.mask = scaled_mask(heads.head_dim);
      layer.rope = rope;
      layer.out = Linear::from(weights, arena, name + "attention.o_proj", sizes.hidden, sizes.hidden);
      layer.attention_sum = Norm::layer(weights, name + "attn_ln", sizes.hidden, sizes.eps);
      const std::string up_gate = name + "mlp.up_gate_proj.weight";
      const size_t inner = sizes.intermediate;  // up stands before gate
      layer.gated = GatedLinear(weights, arena, {up_gate, "", inner, inner, 2 * inner},
                                {up_gate, "", inner, 0, 2 * inner}, sizes.hidden);
      layer.activation = sizes.activation;
      layer.down = Linear::from(weights, arena, name + "mlp.down_proj", inner, sizes.hidden);
      layer.mlp_sum = Norm::layer(weights, name + "mlp_ln", sizes.hidden, sizes.eps);
    }
  }
};

std::unique_ptr<Head> classifier(const HeadContext& context) {
  return make_classifier(context, HeadPooling::kFirst, {{"pooler.dense", Activation::kTanh}, {"classifier"}});
}
std::unique_ptr<Head> token_classifier(const HeadContext& context) {
  return make_classifier(context, HeadPooling::kNone, {{"classifier"}});
}

std::unique_ptr<Head> sparse(const HeadContext& context) {
  const auto eps = static_cast<float>(context.config.number_or("layer_norm_eps", 1e-12));
  return make_splade(context, {{"lm_head.dense", Activation::kGelu, "lm_head.norm", eps},
                               "lm_head.decoder.weight",
                               "embeddings.word_embeddings.weight",
                               ""});
}

WDE_REGISTER(ModelRegistry::instance().add(
    {architecture_names({"Gte", "New", "GteNew"},
                        {"Model", "ForMaskedLM", "ForSequenceClassification", "ForTokenClassification"}),
     "gte",
     false,
     [](const ConfigView& config, Weights& weights) { return std::make_unique<GteModel>(config, weights); },
     {{"classify", classifier}, {"score", classifier}, {"token_classify", token_classifier}, {"sparse", sparse}}}));

}  // namespace
}  // namespace wde
