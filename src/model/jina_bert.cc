// Jina's BERT (jina-embeddings-v2): BERT with ALiBi in both directions instead of positions, and a gated feed-forward.
// Source of names and order: jinaai/jina-bert-implementation as transformers loads it; of the code model's layers,
// which also norm queries and keys, jinaai/jina-bert-v2-qk-post-norm.
#include <fmt/format.h>

#include <cmath>

#include "model/post_norm_layer.h"
#include "model/transformer_model.h"

namespace wde {
namespace {

class JinaBertModel final : public TransformerModel {
 public:
  JinaBertModel(const ConfigView& config, Weights& weights) {
    require_encoder(config, "alibi");
    const std::string kind = config.string_or("feed_forward_type", "geglu");
    if (kind != "geglu" && kind != "reglu")
      throw LoadError(fmt::format("{}: feed_forward_type is '{}', expected geglu or reglu", config.file(), kind));
    const Sizes sizes = read_sizes(config, {});
    const HeadShape heads = equal_heads(sizes.hidden, sizes.heads);
    begin(sizes, heads);
    weights.choose_prefix({"", "bert."}, "embeddings.word_embeddings.weight");
    for (const char* head : {"pooler.", "cls.", "classifier.", "embeddings.position_ids"}) weights.ignore(head);
    embedding_.types = static_cast<size_t>(config.integer_or("type_vocab_size", 2, 1, 1 << 16));
    embedding_.word = Embedding(weights, "embeddings.word_embeddings.weight", sizes.vocab, sizes.hidden);
    embedding_.type =
        AddedEmbedding(weights, "embeddings.token_type_embeddings.weight", embedding_.types, sizes.hidden);
    embedding_.norm = Norm::layer(weights, "embeddings.LayerNorm", sizes.hidden, sizes.eps);
    slopes_ = alibi_slopes(heads.num_heads);
    for (size_t i = 0; i < sizes.layers; ++i) {
      const std::string name = fmt::format("encoder.layer.{}.", i), self = name + "attention.self.";
      TransformerLayer& layer = transformer_.add_layer();
      WeightArena& arena = transformer_.arena();
      layer.qkv = load_qkv(transformer_, weights, {self + "query", self + "key", self + "value"}, sizes.hidden);
      layer.mask = scaled_mask(heads.head_dim);
      layer.mask.alibi_slopes = slopes_.data();
      layer.out = Linear::from(weights, arena, name + "attention.output.dense", sizes.hidden, sizes.hidden);
      layer.activation = kind == "geglu" ? Activation::kGelu : Activation::kRelu;
      const auto norm = [&](const std::string& of) { return Norm::layer(weights, of, sizes.hidden, sizes.eps); };
      // The two halves of one product; which is the gate differs.
      const auto gated = [&](const std::string& both, size_t gate, size_t up) {
        const size_t inner = sizes.intermediate;
        return GatedLinear(weights, arena, {both, "", inner, gate, 2 * inner}, {both, "", inner, up, 2 * inner},
                           sizes.hidden);
      };
      if (weights.has(name + "layer_norm_1.weight")) {
        layer.q_norm = norm(self + "layer_norm_q");
        layer.k_norm = norm(self + "layer_norm_k");
        layer.attention_out = norm(name + "attention.output.LayerNorm");
        layer.attention_out_of_sum = true;
        layer.attention_sum = norm(name + "layer_norm_1");
        layer.gated = gated(name + "mlp.up_gated_layer.weight", sizes.intermediate, 0);
        layer.down = Linear::from(weights, arena, name + "mlp.down_layer", sizes.intermediate, sizes.hidden);
        layer.mlp_sum = norm(name + "layer_norm_2");
      } else {
        layer.attention_sum = norm(name + "attention.output.LayerNorm");
        layer.gated = gated(name + "mlp.gated_layers.weight", 0, sizes.intermediate);
        layer.down = Linear::from(weights, arena, name + "mlp.wo", sizes.intermediate, sizes.hidden);
        layer.mlp_sum = norm(name + "mlp.layernorm");
      }
    }
  }

 private:
  // Press et al. 2022: a geometric series; for a number of heads that is no power of two, that of the next lower power,
  // then every other one of the doubled series.
  static std::vector<float> alibi_slopes(size_t heads) {
    size_t power = 1;
    while (2 * power <= heads) power *= 2;
    std::vector<float> slopes;
    const auto series = [](size_t n, size_t i) {
      return static_cast<float>(std::pow(2.0, -8.0 * static_cast<double>(i + 1) / static_cast<double>(n)));
    };
    for (size_t i = 0; i < power; ++i) slopes.push_back(series(power, i));
    for (size_t i = 0; slopes.size() < heads; i += 2) slopes.push_back(series(2 * power, i));
    return slopes;
  }

  std::vector<float> slopes_;
};

std::unique_ptr<Head> classifier(const HeadContext& context) {
  return make_classifier(context, HeadPooling::kFirst, {{"pooler.dense", Activation::kTanh}, {"classifier"}});
}

WDE_REGISTER(ModelRegistry::instance().add(
    {architecture_names({"JinaBert"}, {"Model", "ForMaskedLM", "ForSequenceClassification"}),
     "jina_bert",
     false,
     [](const ConfigView& config, Weights& weights) { return std::make_unique<JinaBertModel>(config, weights); },
     {{"classify", classifier}, {"score", classifier}}}));

}  // namespace
}  // namespace wde
