// NomicBERT (nomic-embed v1 and v1.5, CodeRankEmbed, Snowflake Arctic m-long): LayerNorms behind, rotary positions,
// gated feed-forward; and nomic-embed-text-v2-moe, with experts on some layers. Two generations of config keys: Nomic's
// own (GPT-2's names) and transformers'.
#include <fmt/format.h>

#include "model/post_norm_layer.h"
#include "model/transformer_model.h"

namespace wde {
namespace {

class NomicBertModel final : public TransformerModel {
 public:
  NomicBertModel(const ConfigView& config, Weights& weights) {
    const bool own = config.has("n_embd");
    SizeKeys keys;
    if (own) {
      keys = {"n_embd", "n_layer", "n_head", "n_inner", "n_positions", "activation_function", "layer_norm_epsilon"};
      refuse_unsupported(config);
    }
    keys.default_activation = "silu";
    const Sizes sizes = [&] {
      if (!own) return read_sizes(config, keys);
      // "swiglu" names the gated form; its activation is SiLU.
      SizeKeys renamed = keys;
      renamed.activation = "unused_activation";
      Sizes s = read_sizes(config, renamed);
      const std::string name = config.string_or("activation_function", "swiglu");
      plain_ = name == "gelu";
      if (name != "swiglu" && name != "geglu" && name != "glu" && !plain_)
        throw LoadError(
            fmt::format("{}: activation_function is '{}', expected swiglu, geglu, glu or gelu", config.file(), name));
      s.activation = plain_             ? Activation::kGelu
                     : name == "swiglu" ? Activation::kSilu
                     : name == "geglu"  ? Activation::kGelu
                                        : Activation::kSigmoid;
      return s;
    }();
    const HeadShape heads = equal_heads(sizes.hidden, sizes.heads);
    require_equal_heads(config, sizes.hidden, sizes.heads);
    begin(sizes, heads);
    weights.choose_prefix({"", "bert.", "model.", "nomic_bert."}, "embeddings.word_embeddings.weight");
    for (const char* head : {"pooler.", "cls.", "classifier.", "lm_head.", "encoder.layers.0.attn.rotary_emb."})
      weights.ignore(head);
    embedding_.word =
        Embedding(weights, "embeddings.word_embeddings.weight", padded_vocabulary(config, sizes.vocab), sizes.hidden);
    embedding_.types = static_cast<size_t>(config.integer_or("type_vocab_size", 2, 0, 1 << 16));
    if (embedding_.types > 0) {
      embedding_.type =
          AddedEmbedding(weights, "embeddings.token_type_embeddings.weight", embedding_.types, sizes.hidden);
    }
    embedding_.norm = Norm::layer(weights, "emb_ln", sizes.hidden, sizes.eps);
    const RopeConfig rope_config = own ? own_rope(config) : config_rope(config, {.default_theta = 1000.0});
    const Rope* rope = transformer_.add_rope(
        rope_config, static_cast<size_t>(static_cast<double>(heads.head_dim) * rope_config.partial_rotary_factor));
    const bool qkv_bias = config.boolean_or("qkv_proj_bias", false), up_bias = config.boolean_or("mlp_fc1_bias", false),
               down_bias = config.boolean_or("mlp_fc2_bias", false);
    for (size_t i = 0; i < sizes.layers; ++i) {
      const std::string name = fmt::format("encoder.layers.{}.", i);
      TransformerLayer& layer = transformer_.add_layer();
      WeightArena& arena = transformer_.arena();
      layer.qkv = load_fused_qkv(transformer_, weights, name + "attn.Wqkv", sizes.hidden, qkv_bias);
      layer.mask = scaled_mask(heads.head_dim);
      layer.rope = rope;
      layer.out = Linear::from(weights, arena, name + "attn.out_proj", sizes.hidden, sizes.hidden, qkv_bias);
      layer.attention_sum = Norm::layer(weights, name + "norm1", sizes.hidden, sizes.eps);
      layer.activation = sizes.activation;
      if (has_experts(config, i)) {
        add_experts(config, weights, name + "mlp.", layer, sizes.hidden, sizes.intermediate);
      } else {
        if (plain_) {
          layer.up = Linear::from(weights, arena, name + "mlp.fc1", sizes.hidden, sizes.intermediate, up_bias);
        } else {
          layer.gated = GatedLinear(weights, arena, WeightRows::of(name + "mlp.fc12", sizes.intermediate, up_bias),
                                    WeightRows::of(name + "mlp.fc11", sizes.intermediate, up_bias), sizes.hidden);
        }
        layer.down = Linear::from(weights, arena, name + "mlp.fc2", sizes.intermediate, sizes.hidden, down_bias);
      }
      layer.mlp_sum = Norm::layer(weights, name + "norm2", sizes.hidden, sizes.eps);
    }
  }

 private:
  // v2-moe: every second layer.
  static bool has_experts(const ConfigView& config, size_t layer) {
    const auto every = static_cast<size_t>(config.integer_or("moe_every_n_layers", 0, 0, 1024));
    return config.integer_or("num_experts", 0, 0, 64) > 0 && every > 0 && layer % every == 1;
  }
  void add_experts(const ConfigView& config, Weights& weights, const std::string& mlp, TransformerLayer& layer,
                   size_t hidden, size_t inner) {
    if (!plain_) throw LoadError(config.file() + ": expected activation_function to be gelu where there are experts");
    const int64_t experts = config.integer("num_experts", 1, 64);
    const auto top = static_cast<size_t>(config.integer("moe_top_k", 1, experts));
    layer.experts.emplace(
        weights, transformer_.arena(),
        Experts::Names{mlp + "router.layer", mlp + "experts.mlp.w1", mlp + "experts.mlp.w2", mlp + "experts.bias"},
        static_cast<size_t>(experts), top, hidden, inner);
  }

  static void refuse_unsupported(const ConfigView& config) {
    const auto expect = [&](const char* key, bool wanted) {
      if (config.boolean_or(key, wanted) != wanted)
        throw LoadError(fmt::format("{}: {} is {}, which is not supported", config.file(), key, !wanted));
    };
    expect("prenorm", false);
    expect("use_rms_norm", false);
    expect("parallel_block", false);
    expect("rotary_emb_interleaved", false);
    expect("moe_normalize_expert_weights", false);
    expect("expert_choice_router", false);
    if (config.integer_or("num_shared_experts", 0, 0, 1 << 12) > 0)
      throw LoadError(config.file() + ": num_shared_experts is above 0, which is not supported");
    if (config.integer_or("ffn_div", 1, 1, 1 << 12) != 1)
      throw LoadError(config.file() + ": ffn_div is not 1, which is not supported");
    if (config.has("rotary_emb_scale_base"))
      throw LoadError(config.file() + ": rotary_emb_scale_base (xPos) is not supported");
  }

  // The embedding has rows up to the next multiple of pad_vocab_size_multiple.
  static size_t padded_vocabulary(const ConfigView& config, size_t vocab) {
    const auto multiple = static_cast<size_t>(config.integer_or("pad_vocab_size_multiple", 1, 1, 1 << 16));
    return (vocab + multiple - 1) / multiple * multiple;
  }

  static RopeConfig own_rope(const ConfigView& config) {
    RopeConfig out;
    out.theta = config.number_or("rotary_emb_base", 10000.0);
    out.partial_rotary_factor = config.number_or("rotary_emb_fraction", 1.0);
    if (config.has("rotary_scaling_factor")) {
      out.type = "dynamic";
      out.factor = config.number("rotary_scaling_factor");
      out.original_positions = static_cast<double>(config.integer_or("max_trained_positions", 2048, 1, 1 << 24));
    }
    return out;
  }

  bool plain_ = false;  // the feed-forward has no gate
};

std::unique_ptr<Head> classifier(const HeadContext& context) {
  return make_classifier(context, HeadPooling::kFirst, {{"pooler.dense", Activation::kTanh}, {"classifier"}});
}
std::unique_ptr<Head> token_classifier(const HeadContext& context) {
  return make_classifier(context, HeadPooling::kNone, {{"classifier"}});
}
std::unique_ptr<Head> sparse(const HeadContext& context) {
  if (context.config.has("n_embd"))
    throw LoadError(context.config.file() + ": the language model's head is not supported in Nomic's own layout");
  const auto eps = static_cast<float>(context.config.number_or("layer_norm_eps", 1e-12));
  const std::string name = "cls.predictions.transform.";
  return make_splade(context, {{.name = name + "dense",
                                .activation = config_activation(context.config, "hidden_act", "silu"),
                                .norm = name + "layer_norm",
                                .eps = eps,
                                .needs_bias = false},
                               "cls.predictions.decoder.weight",
                               "embeddings.word_embeddings.weight",
                               "cls.predictions.bias"});
}

WDE_REGISTER(ModelRegistry::instance().add(
    {architecture_names({"NomicBert"}, {"Model", "ForMaskedLM", "ForPreTraining", "ForSequenceClassification",
                                        "ForTokenClassification"}),
     "nomic_bert",
     false,
     [](const ConfigView& config, Weights& weights) { return std::make_unique<NomicBertModel>(config, weights); },
     {{"classify", classifier}, {"score", classifier}, {"token_classify", token_classifier}, {"sparse", sparse}}}));

}  // namespace
}  // namespace wde
