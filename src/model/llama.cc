// The Llama kind: RMS norms before, rotary positions, grouped query heads, gated feed-forward. Llama, Mistral, Qwen2,
// Qwen3 and, made bidirectional, Nemotron and EuroBERT. What differs stands in the config or in which tensors there
// are.
#include <fmt/format.h>

#include "loader/json_file.h"
#include "model/decoder.h"

namespace wde {
namespace {

class LlamaModel final : public TransformerModel {
 public:
  LlamaModel(const ConfigView& config, Weights& weights) {
    refuse_unsupported(config);
    SizeKeys keys;
    keys.eps = "rms_norm_eps";
    keys.default_eps = is_of(config, "EuroBert", "eurobert") ? 1e-5 : 1e-6;
    keys.default_activation = "silu";
    keys.heads_divide_hidden = false;
    const Sizes sizes = read_sizes(config, keys);
    const HeadShape heads = grouped_heads(config, sizes.hidden, sizes.heads);
    begin(sizes, heads);
    choose_decoder_prefix(weights);
    const size_t q = heads.num_heads * heads.head_dim;
    const auto rms = [&](const std::string& name, size_t size) { return Norm::rms(weights, name, size, sizes.eps); };
    const Rope* rope = transformer_.add_rope(config_rope(config), heads.head_dim);
    embedding_.word = Embedding(weights, "embed_tokens.weight", sizes.vocab, sizes.hidden);
    // What one layer has, all must have.
    const auto any_layer_has = [&](const char* tensor) {
      return weights.has(fmt::format("layers.0.{}", tensor)) ||
             weights.has(fmt::format("layers.{}.{}", sizes.layers - 1, tensor));
    };
    const bool bias = any_layer_has("self_attn.q_proj.bias"), out_bias = any_layer_has("self_attn.o_proj.bias"),
               mlp_bias = any_layer_has("mlp.gate_proj.bias"), head_norms = any_layer_has("self_attn.q_norm.weight");
    for (size_t i = 0; i < sizes.layers; ++i) {
      const std::string name = fmt::format("layers.{}.", i), self = name + "self_attn.", mlp = name + "mlp.";
      TransformerLayer& layer = transformer_.add_layer();
      WeightArena& arena = transformer_.arena();
      layer.attention_in = rms(name + "input_layernorm", sizes.hidden);
      layer.qkv =
          load_qkv(transformer_, weights, {self + "q_proj", self + "k_proj", self + "v_proj", bias}, sizes.hidden);
      if (head_norms) {
        layer.q_norm = rms(self + "q_norm", heads.head_dim);
        layer.k_norm = rms(self + "k_norm", heads.head_dim);
      }
      layer.rope = rope;
      layer.mask = scaled_mask(heads.head_dim);
      set_window(layer.mask, sliding_window(config, i));
      layer.out = Linear::from(weights, arena, self + "o_proj", q, sizes.hidden, out_bias);
      layer.mlp_in = rms(name + "post_attention_layernorm", sizes.hidden);
      layer.gated = GatedLinear(weights, arena, WeightRows::of(mlp + "gate_proj", sizes.intermediate, mlp_bias),
                                WeightRows::of(mlp + "up_proj", sizes.intermediate, mlp_bias), sizes.hidden);
      layer.activation = sizes.activation;
      layer.down = Linear::from(weights, arena, mlp + "down_proj", sizes.intermediate, sizes.hidden, mlp_bias);
    }
    transformer_.set_final_norm(rms("norm", sizes.hidden));
  }

 private:
  // Keys of relatives whose arithmetic differs.
  static void refuse_unsupported(const ConfigView& config) {
    for (const char* key :
         {"num_local_experts", "num_experts", "embedding_multiplier", "residual_multiplier", "scale_emb"}) {
      if (config.has(key))
        throw LoadError(fmt::format("{}: \"{}\" belongs to an architecture that is not supported", config.file(), key));
    }
  }

  static bool is_of(const ConfigView& config, std::string_view family, std::string_view model_type) {
    return config_architecture(config).starts_with(family) || config_model_type(config) == model_type;
  }

  // The window of layer i; 0: it sees everything. Each family heeds other keys, as in transformers: Mistral the window
  // alone (with layer_types it is Ministral), Qwen a switch and how many layers go without, Llama and EuroBERT none.
  static size_t sliding_window(const ConfigView& config, size_t i) {
    const bool mistral = is_of(config, "Mistral", "mistral"),
               qwen = is_of(config, "Qwen2", "qwen2") || is_of(config, "Qwen3", "qwen3");
    if ((!mistral && !qwen) || (config.mentions("sliding_window") && !config.has("sliding_window"))) return 0;
    const auto window = static_cast<size_t>(config.integer_or("sliding_window", 4096, 1, 1 << 24));
    const bool on = mistral || config.boolean_or("use_sliding_window", false);
    if (config.has("layer_types")) {
      const bool slides = layer_type(config, i) == "sliding_attention";
      if (slides && !on) {
        throw LoadError(config.file() + ": layer_types has sliding_attention, so use_sliding_window must be true");
      }
      return slides ? window : 0;
    }
    const auto first = static_cast<size_t>(config.integer_or("max_window_layers", 28, 0, 1 << 20));
    return mistral || (on && i >= first) ? window : 0;
  }
};

std::unique_ptr<Model> create(const ConfigView& config, Weights& weights) {
  return std::make_unique<LlamaModel>(config, weights);
}

std::unique_ptr<Head> mean_classifier(const HeadContext& context) {
  const std::string pooling = context.config.string_or("pooling", "avg");
  if (pooling != "avg" && pooling != "last" && pooling != "cls") {
    throw LoadError(fmt::format("{}: pooling is {}, expected avg, last or cls", context.config.file(), quote(pooling)));
  }
  HeadStep step{"score"};
  step.needs_bias = false;
  step.divisor = static_cast<float>(context.config.number_or("temperature", 1.0));
  if (!(step.divisor > 0)) throw LoadError(context.config.file() + ": temperature must be above 0");
  return make_classifier(context,
                         pooling == "avg"    ? HeadPooling::kMean
                         : pooling == "last" ? HeadPooling::kLast
                                             : HeadPooling::kFirst,
                         {step});
}

std::unique_ptr<Head> eurobert_classifier(const HeadContext& context) {
  const std::string pooling =
      context.config.string_or("clf_pooling", context.config.string_or("classifier_pooling", "late"));
  if (pooling != "late" && pooling != "mean" && pooling != "bos") {
    throw LoadError(
        fmt::format("{}: clf_pooling is {}, expected late, mean or bos", context.config.file(), quote(pooling)));
  }
  return make_classifier(context,
                         pooling == "late"   ? HeadPooling::kLate
                         : pooling == "mean" ? HeadPooling::kMean
                                             : HeadPooling::kFirst,
                         {{.name = "dense", .activation = Activation::kGelu, .needs_bias = false},
                          {.name = "classifier", .needs_bias = false}});
}
std::unique_ptr<Head> eurobert_tokens(const HeadContext& context) {
  return make_classifier(context, HeadPooling::kNone, {{.name = "classifier", .needs_bias = false}});
}

std::unique_ptr<Head> eurobert_sparse(const HeadContext& context) {
  return make_splade(context, {{""}, "lm_head.weight", "embed_tokens.weight", ""});
}

bool add_causal(const std::string& family, const std::string& model_type) {
  return ModelRegistry::instance().add(
      {architecture_names({family}, {"Model", "ForCausalLM", "ForSequenceClassification", "ForTokenClassification"}),
       model_type, true, create, decoder_heads()});
}

WDE_REGISTER(add_causal("Llama", "llama"));
WDE_REGISTER(add_causal("Mistral", "mistral"));
WDE_REGISTER(add_causal("Qwen2", "qwen2"));
WDE_REGISTER(add_causal("Qwen3", "qwen3"));
WDE_REGISTER(ModelRegistry::instance().add({{"LlamaBidirectionalModel", "LlamaBidirectionalForSequenceClassification"},
                                            "llama_bidirec",
                                            false,
                                            create,
                                            {{"classify", mean_classifier}, {"score", mean_classifier}}}));
// LLM2Vec's own names for what it wraps.
WDE_REGISTER(ModelRegistry::instance().add({{"LlamaEncoderModel", "MistralEncoderModel", "Qwen2EncoderModel",
                                             "LlamaBiModel", "MistralBiModel", "Qwen2BiModel"},
                                            "llm2vec",
                                            false,
                                            create}));
// voyage-4-nano, with a projection; Giga-Embeddings, without one.
WDE_REGISTER(ModelRegistry::instance().add({{"Qwen3BidirectionalModel", "VoyageQwen3BidirectionalEmbedModel"},
                                            "qwen3_bidirec",
                                            false,
                                            create,
                                            {{"embed", make_projection}, {"token_embed", make_projection}}}));
WDE_REGISTER(ModelRegistry::instance().add(
    {architecture_names({"EuroBert"}, {"Model", "ForMaskedLM", "ForSequenceClassification", "ForTokenClassification"}),
     "eurobert",
     false,
     create,
     {{"classify", eurobert_classifier},
      {"score", eurobert_classifier},
      {"token_classify", eurobert_tokens},
      {"sparse", eurobert_sparse}}}));

}  // namespace
}  // namespace wde
