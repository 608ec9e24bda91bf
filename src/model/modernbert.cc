// ModernBERT (gte-modernbert, mmBERT): LayerNorms before, rotary positions, gated feed-forward, and layers that see a
// window or everything. Source: transformers, modeling_modernbert.py, and both generations of its config.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "model/post_norm_layer.h"
#include "model/transformer_model.h"

namespace wde {
namespace {

class ModernBertModel final : public TransformerModel {
 public:
  ModernBertModel(const ConfigView& config, Weights& weights) {
    // mmBERT and what was made from it say "sans_pos": no table of positions, the same rotary embedding.
    require_encoder(config, config.string_or("position_embedding_type", "") == "sans_pos" ? "sans_pos" : "absolute");
    SizeKeys keys;
    keys.eps = "norm_eps";
    keys.default_eps = 1e-5;
    keys.activation = "hidden_activation";
    const Sizes sizes = read_sizes(config, keys);
    const HeadShape heads = equal_heads(sizes.hidden, sizes.heads);
    require_equal_heads(config, sizes.hidden, sizes.heads);
    begin(sizes, heads);
    weights.choose_prefix({"", "model."}, "embeddings.tok_embeddings.weight");
    for (const char* head : {"head.", "decoder.", "classifier."}) weights.ignore(head);
    const bool norm_bias = config.boolean_or("norm_bias", false),
               attention_bias = config.boolean_or("attention_bias", false),
               mlp_bias = config.boolean_or("mlp_bias", false);
    const auto norm = [&](const std::string& name) {
      return Norm::layer(weights, name, sizes.hidden, sizes.eps, norm_bias);
    };
    const Rope* global =
        transformer_.add_rope(config_rope(config, {"full_attention", "global_rope_theta", 160000.0}), heads.head_dim);
    const Rope* local =
        transformer_.add_rope(config_rope(config, {"sliding_attention", "local_rope_theta", 10000.0}), heads.head_dim);
    // Both directions: |i - j| <= local_attention / 2.
    const int64_t window = config.integer_or("local_attention", 128, 2, 1 << 20) / 2;

    embedding_.word = Embedding(weights, "embeddings.tok_embeddings.weight", sizes.vocab, sizes.hidden);
    embedding_.norm = norm("embeddings.norm");
    for (size_t i = 0; i < sizes.layers; ++i) {
      const std::string name = fmt::format("layers.{}.", i);
      TransformerLayer& layer = transformer_.add_layer();
      WeightArena& arena = transformer_.arena();
      if (i > 0) layer.attention_in = norm(name + "attn_norm");
      layer.qkv = load_fused_qkv(transformer_, weights, name + "attn.Wqkv", sizes.hidden, attention_bias);
      layer.mask = scaled_mask(heads.head_dim);
      const bool all = is_global(config, i);
      layer.rope = all ? global : local;
      if (!all) layer.mask.window_left = layer.mask.window_right = window;
      layer.out = Linear::from(weights, arena, name + "attn.Wo", sizes.hidden, sizes.hidden, attention_bias);
      layer.mlp_in = norm(name + "mlp_norm");
      const std::string wi = name + "mlp.Wi.weight", bias = mlp_bias ? name + "mlp.Wi.bias" : "";
      const size_t inner = sizes.intermediate;
      layer.gated = GatedLinear(weights, arena, {wi, bias, inner, 0, 2 * inner}, {wi, bias, inner, inner, 2 * inner},
                                sizes.hidden);
      layer.activation = sizes.activation;
      layer.down = Linear::from(weights, arena, name + "mlp.Wo", inner, sizes.hidden, mlp_bias);
    }
    transformer_.set_final_norm(norm("final_norm"));
  }

 private:
  static bool is_global(const ConfigView& config, size_t index) {
    if (config.has("layer_types")) {
      const std::vector<std::string> types = config.strings("layer_types");
      if (index >= types.size())
        throw LoadError(config.file() + ": layer_types has fewer entries than there are layers");
      if (types[index] != "full_attention" && types[index] != "sliding_attention")
        throw LoadError(
            fmt::format("{}: layer_types[{}] is '{}', which is not supported", config.file(), index, types[index]));
      return types[index] == "full_attention";
    }
    return index % static_cast<size_t>(config.integer_or("global_attn_every_n_layers", 3, 1, 1024)) == 0;
  }
};

HeadStep prediction_head(const HeadContext& context) {
  return {.name = "head.dense",
          .activation = config_activation(context.config, "classifier_activation", "gelu"),
          .norm = "head.norm",
          .eps = static_cast<float>(context.config.number_or("norm_eps", 1e-5)),
          .needs_bias = false};
}
std::unique_ptr<Head> classifier(const HeadContext& context) {
  const std::string pooling = context.config.string_or("classifier_pooling", "cls");
  if (pooling != "cls" && pooling != "mean")
    throw LoadError(
        fmt::format("{}: classifier_pooling is '{}', expected cls or mean", context.config.file(), pooling));
  return make_classifier(context, pooling == "cls" ? HeadPooling::kFirst : HeadPooling::kMean,
                         {prediction_head(context), {"classifier"}});
}
std::unique_ptr<Head> token_classifier(const HeadContext& context) {
  return make_classifier(context, HeadPooling::kNone, {prediction_head(context), {"classifier"}});
}
std::unique_ptr<Head> sparse(const HeadContext& context) {
  return make_splade(context,
                     {prediction_head(context), "decoder.weight", "embeddings.tok_embeddings.weight", "decoder.bias"});
}

WDE_REGISTER(ModelRegistry::instance().add(
    {architecture_names({"ModernBert"},
                        {"Model", "ForMaskedLM", "ForSequenceClassification", "ForTokenClassification"}),
     "modernbert",
     false,
     [](const ConfigView& config, Weights& weights) { return std::make_unique<ModernBertModel>(config, weights); },
     {{"classify", classifier}, {"score", classifier}, {"token_classify", token_classifier}, {"sparse", sparse}}}));

}  // namespace
}  // namespace wde
