// Gemma 1, 2 and 3 (bge-reranker-v2-gemma, EmbeddingGemma): scaled embeddings, RMS norms that store w - 1, in Gemma 2
// and 3 also behind attention and feed-forward; windows on some layers; soft caps in Gemma 2, normed heads in Gemma 3.
#include <fmt/format.h>

#include <cmath>

#include "model/causality.h"
#include "model/decoder.h"

namespace wde {
namespace {

class GemmaModel final : public TransformerModel {
 public:
  GemmaModel(const ConfigView& config, Weights& weights, int generation) {
    SizeKeys keys;
    keys.eps = "rms_norm_eps";
    keys.default_eps = 1e-6;
    keys.activation = generation == 1 ? "hidden_act" : "hidden_activation";
    keys.default_activation = "gelu_pytorch_tanh";
    keys.heads_divide_hidden = false;
    keys.default_positions = 8192;
    Sizes sizes = read_sizes(config, keys);
    if (generation == 1) sizes.activation = first_activation(config, sizes.activation);
    if (generation == 3 && config.has("attn_logit_softcapping"))
      throw LoadError(config.file() + ": attn_logit_softcapping must be null in Gemma 3");
    const HeadShape heads = grouped_heads(config, sizes.hidden, sizes.heads);
    begin(sizes, heads);
    choose_decoder_prefix(weights);
    const size_t q = heads.num_heads * heads.head_dim;
    const auto rms = [&](const std::string& name, size_t size) {
      return Norm::rms(weights, name, size, sizes.eps, 1.0f);
    };
    RopeKeys full_keys, local_keys;
    if (generation == 3) {
      full_keys = {.layer_type = "full_attention", .default_theta = 1e6};
      local_keys = {.layer_type = "sliding_attention", .theta = "rope_local_base_freq", .scaled = false};
    }
    const Rope* full = transformer_.add_rope(config_rope(config, full_keys), heads.head_dim);
    const Rope* local = generation == 3 ? transformer_.add_rope(config_rope(config, local_keys), heads.head_dim) : full;
    embedding_.word = Embedding(weights, "embed_tokens.weight", sizes.vocab, sizes.hidden);
    embedding_.scale = std::sqrt(static_cast<float>(sizes.hidden));
    const double scalar =
        generation == 1 ? static_cast<double>(heads.head_dim) : config.number_or("query_pre_attn_scalar", 256.0);
    for (size_t i = 0; i < sizes.layers; ++i) {
      const std::string name = fmt::format("layers.{}.", i), self = name + "self_attn.", mlp = name + "mlp.";
      TransformerLayer& layer = transformer_.add_layer();
      WeightArena& arena = transformer_.arena();
      layer.attention_in = rms(name + "input_layernorm", sizes.hidden);
      const bool bias = weights.has(self + "q_proj.bias");
      layer.qkv =
          load_qkv(transformer_, weights, {self + "q_proj", self + "k_proj", self + "v_proj", bias}, sizes.hidden);
      if (generation == 3) {
        layer.q_norm = rms(self + "q_norm", heads.head_dim);
        layer.k_norm = rms(self + "k_norm", heads.head_dim);
      }
      const bool sliding = generation > 1 && is_sliding(config, i, generation);
      layer.rope = sliding ? local : full;
      layer.mask.scale = static_cast<float>(1.0 / std::sqrt(scalar));
      // Null means none; files that say nothing have Gemma 2's default.
      const bool silent = generation == 2 && !config.mentions("attn_logit_softcapping");
      layer.mask.soft_cap = static_cast<float>(config.number_or("attn_logit_softcapping", silent ? 50.0 : 0.0));
      if (sliding) slide(layer.mask, config, generation);
      layer.out = Linear::from(weights, arena, self + "o_proj", q, sizes.hidden, weights.has(self + "o_proj.bias"));
      if (generation == 1) {
        layer.mlp_in = rms(name + "post_attention_layernorm", sizes.hidden);
      } else {
        layer.attention_out = rms(name + "post_attention_layernorm", sizes.hidden);
        layer.mlp_in = rms(name + "pre_feedforward_layernorm", sizes.hidden);
        layer.mlp_out = rms(name + "post_feedforward_layernorm", sizes.hidden);
      }
      layer.gated = GatedLinear(weights, arena, WeightRows::of(mlp + "gate_proj", sizes.intermediate, false),
                                WeightRows::of(mlp + "up_proj", sizes.intermediate, false), sizes.hidden);
      layer.activation = sizes.activation;
      layer.down = Linear::from(weights, arena, mlp + "down_proj", sizes.intermediate, sizes.hidden, false);
    }
    transformer_.set_final_norm(rms("norm", sizes.hidden));
  }

 private:
  static bool is_sliding(const ConfigView& config, size_t i, int generation) {
    if (config.has("layer_types")) return layer_type(config, i) == "sliding_attention";
    if (generation == 2) return (i + 1) % 2 != 0;
    return (i + 1) % static_cast<size_t>(config.integer_or("sliding_window_pattern", 6, 1, 1024)) != 0;
  }

  // Where Gemma 3's own key makes attention bidirectional, transformers halves the window: |i - j| < window / 2 + 1.
  static void slide(AttentionMask& mask, const ConfigView& config, int generation) {
    const auto window = static_cast<size_t>(config.integer_or("sliding_window", 4096, 1, 1 << 24));
    const bool halved = generation == 3 && config_bidirectional_attention(config).value_or(false);
    set_window(mask, halved ? window / 2 + 1 : window);
    if (halved && config.boolean_or("is_causal", true)) mask.bidirectional_growth = 0;
  }

  // The first files say gelu and mean its approximation. What "hidden_activation" means beside "hidden_act" depends on
  // the version of transformers.
  static Activation first_activation(const ConfigView& config, Activation found) {
    if (found == Activation::kGelu) found = Activation::kGeluTanh;
    const std::string_view key = "hidden_activation";
    if (config.has(key) && config_activation(config, key, "") != found)
      throw LoadError(config.file() + ": hidden_activation and hidden_act must not differ");
    return found;
  }
};

bool add(const std::vector<std::string>& families, const std::string& model_type, int generation) {
  return ModelRegistry::instance().add(
      {architecture_names(families, {"Model", "ForCausalLM", "ForSequenceClassification", "ForTokenClassification"}),
       model_type, true,
       [generation](const ConfigView& config, Weights& weights) {
         return std::make_unique<GemmaModel>(config, weights, generation);
       },
       decoder_heads()});
}

WDE_REGISTER(add({"Gemma"}, "gemma", 1));
WDE_REGISTER(add({"Gemma2"}, "gemma2", 2));
WDE_REGISTER(add({"Gemma3Text", "Gemma3"}, "gemma3_text", 3));

}  // namespace
}  // namespace wde
