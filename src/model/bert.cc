#include "model/bert.h"

#include <fmt/format.h>

namespace wde {

PostNormConfig read_post_norm_config(const ConfigView& config, const EncoderKeys& keys) {
  PostNormConfig out;
  out.hidden_size = static_cast<size_t>(config.integer(keys.hidden, 1, 1 << 16));
  out.layers = static_cast<size_t>(config.integer(keys.layers, 1, 1024));
  out.heads = static_cast<size_t>(config.integer(keys.heads, 1, 1024));
  out.intermediate_size = static_cast<size_t>(config.integer(keys.intermediate, 1, 1 << 20));
  if (out.hidden_size % out.heads != 0) {
    throw LoadError(fmt::format("{}: {} ({}) must be a multiple of {} ({})", config.file(), keys.hidden,
                                out.hidden_size, keys.heads, out.heads));
  }
  const std::string name = config.string_or(keys.activation, "gelu");
  const auto activation = activation_from_name(name);
  if (!activation)
    throw LoadError(fmt::format("{}: {} is '{}', which is not supported", config.file(), keys.activation, name));
  out.activation = *activation;
  return out;
}

void require_plain_encoder(const ConfigView& config) {
  if (config.boolean_or("is_decoder", false)) {
    throw LoadError(config.file() + ": is_decoder is true, expected an encoder (false or absent)");
  }
  const std::string positions = config.string_or("position_embedding_type", "absolute");
  if (positions != "absolute") {
    throw LoadError(fmt::format("{}: position_embedding_type is '{}', expected 'absolute'", config.file(), positions));
  }
}

BertModel::BertModel(const ConfigView& config, Weights& weights, size_t first_position) {
  require_plain_encoder(config);
  PostNormConfig encoder = read_post_norm_config(config, {});
  encoder.eps = static_cast<float>(config.number_or("layer_norm_eps", 1e-12));
  const auto table = static_cast<size_t>(config.integer("max_position_embeddings", 1, 1 << 24));
  if (table <= first_position) {
    throw LoadError(
        fmt::format("{}: max_position_embeddings is {}, expected more than {}", config.file(), table, first_position));
  }
  shape_.hidden_size = encoder.hidden_size;
  shape_.vocab_size = static_cast<size_t>(config.integer("vocab_size", 1, 1 << 24));
  shape_.positions = table - first_position;
  types_ = static_cast<size_t>(config.integer_or("type_vocab_size", 2, 1, 1 << 16));

  weights.choose_prefix({"", "bert.", "roberta.", "xlm-roberta."}, "embeddings.word_embeddings.weight");
  // Heads of other tasks, and a buffer that old checkpoints saved.
  for (const char* head : {"pooler.", "cls.", "lm_head.", "classifier.", "qa_outputs.", "embeddings.position_ids"})
    weights.ignore(head);
  word_ = Embedding(weights, "embeddings.word_embeddings.weight", shape_.vocab_size, shape_.hidden_size);
  position_ = AddedEmbedding(weights, "embeddings.position_embeddings.weight", table, shape_.hidden_size);
  type_ = AddedEmbedding(weights, "embeddings.token_type_embeddings.weight", types_, shape_.hidden_size);
  norm_ = LayerNorm(weights, "embeddings.LayerNorm", shape_.hidden_size, encoder.eps);
  encoder_ = PostNormEncoder(
      encoder,
      {"encoder.layer", "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
       "attention.output.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm"},
      weights);
  shape_.heads = encoder_.heads();
}

size_t BertModel::position_row(int32_t, size_t position, size_t&) const { return position; }

void BertModel::forward(const ModelInput& input, const AttnBackend& backend, Arena& arena, Team& team,
                        ModelOutput& output) const {
  const View<float> x = encoder_.embeddings(input, arena, output);
  size_t counter = 0;
  for (size_t t = 0; t < input.tokens(); ++t) {
    const auto position = static_cast<size_t>(input.positions[t]);
    if (position == 0) counter = 0;
    // A model with one segment was trained without segment ids: its tokenizers give none, whatever the pair template
    // says.
    const size_t type = types_ == 1 ? 0 : static_cast<size_t>(input.type_ids[t]);
    word_.copy(static_cast<size_t>(input.ids[t]), x.row(t));
    type_.add(type < types_ ? type : types_ - 1, x.row(t));
    position_.add(position_row(input.ids[t], position, counter), x.row(t));
  }
  norm_.run(x, x);
  encoder_.forward(x, input, backend, arena, team, output);
}

WDE_REGISTER(ModelRegistry::instance().add({{"BertModel", "BertForMaskedLM", "BertForPreTraining",
                                             "BertForSequenceClassification", "BertForTokenClassification"},
                                            "bert",
                                            false,
                                            encoder_workflows(),
                                            [](const ConfigView& config, Weights& weights) {
                                              return std::make_unique<BertModel>(config, weights);
                                            }}));

}  // namespace wde
