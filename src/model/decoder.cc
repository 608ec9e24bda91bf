#include "model/decoder.h"

#include <fmt/format.h>

#include <cmath>

namespace wde {

HeadShape grouped_heads(const ConfigView& config, size_t hidden, size_t heads) {
  HeadShape out;
  out.num_heads = heads;
  out.num_kv_heads =
      static_cast<size_t>(config.integer_or("num_key_value_heads", static_cast<int64_t>(heads), 1, 1024));
  out.head_dim = static_cast<size_t>(config.integer_or("head_dim", static_cast<int64_t>(hidden / heads), 1, 1024));
  if (heads % out.num_kv_heads != 0) {
    throw LoadError(fmt::format("{}: num_attention_heads ({}) must be a multiple of num_key_value_heads ({})",
                                config.file(), heads, out.num_kv_heads));
  }
  return out;
}

void choose_decoder_prefix(Weights& weights) {
  weights.choose_prefix({"", "model.", "language_model.model.", "model.language_model."}, "embed_tokens.weight");
  for (const char* other : {"lm_head.", "score.", "classifier.", "dense.", "rotary_emb."}) weights.ignore(other);
}

std::string layer_type(const ConfigView& config, size_t i) {
  const std::vector<std::string> types = config.strings("layer_types");
  if (i >= types.size())
    throw LoadError(fmt::format("{}: layer_types has {} entries, expected one a layer", config.file(), types.size()));
  if (types[i] != "full_attention" && types[i] != "sliding_attention")
    throw LoadError(fmt::format("{}: layer_types[{}] is '{}', which is not supported", config.file(), i, types[i]));
  return types[i];
}

void set_window(AttentionMask& mask, size_t window) {
  if (window == 0) return;
  mask.window_left = mask.window_right = static_cast<int64_t>(window) - 1;
  mask.bidirectional_growth = 1;
}

namespace {
std::unique_ptr<Head> last_token_classifier(const HeadContext& context) {
  return make_classifier(context, HeadPooling::kLastText, {{.name = "score", .needs_bias = false}});
}
std::unique_ptr<Head> score(const HeadContext& context) {
  if (context.weights.has("score.weight")) return last_token_classifier(context);
  // Null means none; files that say nothing have Gemma 2's default.
  constexpr const char* kCap = "final_logit_softcapping";
  const bool silent = config_model_type(context.config) == "gemma2" && !context.config.mentions(kCap);
  return make_token_logits(context, "lm_head.weight", "embed_tokens.weight",
                           context.config.number_or(kCap, silent ? 30.0 : 0.0));
}
std::unique_ptr<Head> token_classifier(const HeadContext& context) {
  const std::string name = context.weights.has("score.weight") ? "score" : "classifier";
  return make_classifier(context, HeadPooling::kNone, {{.name = name, .needs_bias = false}});
}
}  // namespace

std::map<std::string, HeadFactory> decoder_heads() {
  return {{"classify", last_token_classifier}, {"score", score}, {"token_classify", token_classifier}};
}

}  // namespace wde
