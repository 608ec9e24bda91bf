// T5's encoder (sentence-t5, gtr, instructor): RMS norms before, no biases, relative positions as a bias on the logits
// that all layers share, logits that are not scaled.
#include <fmt/format.h>

#include "model/post_norm_layer.h"
#include "model/relative_bias.h"
#include "model/transformer_model.h"

namespace wde {
namespace {

class T5Encoder final : public TransformerModel {
 public:
  T5Encoder(const ConfigView& config, Weights& weights) {
    SizeKeys keys{"d_model", "num_layers", "num_heads", "d_ff"};
    keys.eps = "layer_norm_epsilon";
    keys.default_eps = 1e-6;
    keys.positions = "n_positions";
    keys.default_positions = 1 << 20;  // none of its own: distances beyond the last bucket share it
    keys.heads_divide_hidden = false;
    keys.activation = "dense_act_fn";
    keys.default_activation = "relu";
    // "relu", "gated-gelu" (which means gelu_new), "gated-silu", …
    const bool multilingual = config_model_type(config) == "mt5";
    std::string projection = config.string_or("feed_forward_proj", multilingual ? "gated-gelu" : "relu");
    const bool gated = projection.starts_with("gated-");
    if (gated) projection.erase(0, 6);
    Sizes sizes = read_sizes(config, keys);
    const auto activation = activation_from_name(gated && projection == "gelu" ? "gelu_new" : projection);
    if (!activation)
      throw LoadError(fmt::format("{}: feed_forward_proj is '{}', which is not supported", config.file(), projection));
    sizes.activation = *activation;
    const HeadShape heads{sizes.heads, sizes.heads, static_cast<size_t>(config.integer("d_kv", 1, 1024))};
    begin(sizes, heads);
    const size_t inner = heads.num_heads * heads.head_dim;

    weights.choose_prefix({"", "transformer."}, "encoder.final_layer_norm.weight");
    for (const char* other : {"decoder.", "lm_head.", "encoder.embed_tokens.", "classifier."}) weights.ignore(other);
    const std::string words = weights.has("shared.weight") ? "shared.weight" : "encoder.embed_tokens.weight";
    embedding_.word = Embedding(weights, words, sizes.vocab, sizes.hidden);
    const auto buckets = static_cast<size_t>(config.integer_or("relative_attention_num_buckets", 32, 4, 1 << 12));
    const auto distance = static_cast<size_t>(config.integer_or("relative_attention_max_distance", 128, 4, 1 << 20));
    bias_ = RelativeBias(weights, "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", buckets,
                         distance, heads.num_heads);
    for (size_t i = 0; i < sizes.layers; ++i) {
      const std::string attention = fmt::format("encoder.block.{}.layer.0.", i),
                        mlp = fmt::format("encoder.block.{}.layer.1.", i);
      TransformerLayer& layer = transformer_.add_layer();
      WeightArena& arena = transformer_.arena();
      layer.attention_in = Norm::rms(weights, attention + "layer_norm", sizes.hidden, sizes.eps);
      const std::string self = attention + "SelfAttention.";
      layer.qkv = load_qkv(transformer_, weights, {self + "q", self + "k", self + "v", false}, sizes.hidden);
      layer.out = Linear::from(weights, arena, self + "o", inner, sizes.hidden, false);
      layer.mlp_in = Norm::rms(weights, mlp + "layer_norm", sizes.hidden, sizes.eps);
      const std::string dense = mlp + "DenseReluDense.";
      layer.activation = sizes.activation;
      if (gated) {
        layer.gated = GatedLinear(weights, arena, WeightRows::of(dense + "wi_0", sizes.intermediate, false),
                                  WeightRows::of(dense + "wi_1", sizes.intermediate, false), sizes.hidden);
      } else {
        layer.up = Linear::from(weights, arena, dense + "wi", sizes.hidden, sizes.intermediate, false);
      }
      layer.down = Linear::from(weights, arena, dense + "wo", sizes.intermediate, sizes.hidden, false);
    }
    transformer_.set_final_norm(Norm::rms(weights, "encoder.final_layer_norm", sizes.hidden, sizes.eps));
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

std::unique_ptr<Head> token_classifier(const HeadContext& context) {
  return make_classifier(context, HeadPooling::kNone, {{"classifier"}});
}

WDE_REGISTER(ModelRegistry::instance().add(
    {{"T5EncoderModel", "T5Model", "T5ForConditionalGeneration", "T5ForTokenClassification", "MT5EncoderModel",
      "MT5Model", "MT5ForConditionalGeneration", "MT5ForTokenClassification"},
     "t5",
     false,
     [](const ConfigView& config, Weights& weights) { return std::make_unique<T5Encoder>(config, weights); },
     {{"token_classify", token_classifier}}}));

}  // namespace
}  // namespace wde
