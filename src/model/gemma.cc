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
    keys.activation = "hidden_activation";
    keys.default_activation = "gelu_pytorch_tanh";
    keys.heads_divide_hidden = false;
    keys.default_positions = 8192;
    const Sizes sizes = read_sizes(config, keys);
    const HeadShape heads = grouped_heads(config, sizes.hidden, sizes.heads);
    begin(sizes, heads);
    choose_decoder_prefix(weights);
    const size_t q = heads.num_heads * heads.head_dim;
    const auto rms = [&](const std::string& name, size_t size) {
      return Norm::rms(weights, name, size, sizes.eps, 1.0f);
    };
    const RopeConfig full_config = config_rope(config, "full_attention", generation == 3 ? 1e6 : 10000.0);
    const Rope* full = transformer_.add_rope(full_config, heads.head_dim);
    const Rope* local = generation == 3 ? transformer_.add_rope(local_rope(config), heads.head_dim) : full;
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
      if (sliding) set_window(layer.mask, window(config, generation));
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
    const auto pattern = static_cast<size_t>(config.integer_or(
        config.first_of({"sliding_window_pattern", "_sliding_window_pattern"}), generation == 3 ? 6 : 2, 1, 1024));
    return (i + 1) % pattern != 0;
  }

  // transformers halves Gemma 3's window where attention is bidirectional: |i - j| < window / 2 + 1.
  static size_t window(const ConfigView& config, int generation) {
    const auto window = static_cast<size_t>(config.integer_or("sliding_window", 4096, 1, 1 << 24));
    const bool both = generation == 3 && config_bidirectional_attention(config).value_or(false);
    return both ? window / 2 + 1 : window;
  }

  static RopeConfig local_rope(const ConfigView& config) {
    const auto parameters = config.object_if_exists("rope_parameters");
    if (parameters && parameters->has("sliding_attention")) return config_rope(config, "sliding_attention");
    RopeConfig out;
    out.theta = config.number_or("rope_local_base_freq", 10000.0);
    return out;
  }
};

bool add(const std::vector<std::string>& families, const std::string& model_type, int generation) {
  return ModelRegistry::instance().add(
      {architecture_names(families, {"Model", "ForCausalLM", "ForSequenceClassification"}), model_type, true,
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
