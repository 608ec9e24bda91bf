#include "model/transformer_model.h"

#include <fmt/format.h>

#include <cmath>

namespace wde {

TransformerModel::Sizes TransformerModel::read_sizes(const ConfigView& config, const SizeKeys& keys) {
  Sizes out;
  out.hidden = static_cast<size_t>(config.integer(keys.hidden, 1, 1 << 16));
  out.layers = static_cast<size_t>(config.integer(keys.layers, 1, 1024));
  out.heads = static_cast<size_t>(config.integer(keys.heads, 1, 1024));
  out.intermediate = static_cast<size_t>(config.integer(keys.intermediate, 1, 1 << 20));
  out.vocab = static_cast<size_t>(config.integer("vocab_size", 1, 1 << 24));
  out.positions = static_cast<size_t>(keys.default_positions == 0
                                          ? config.integer(keys.positions, 1, 1 << 24)
                                          : config.integer_or(keys.positions, keys.default_positions, 1, 1 << 24));
  if (keys.heads_divide_hidden && out.hidden % out.heads != 0) {
    throw LoadError(fmt::format("{}: {} ({}) must be a multiple of {} ({})", config.file(), keys.hidden, out.hidden,
                                keys.heads, out.heads));
  }
  out.activation = config_activation(config, keys.activation, keys.default_activation);
  out.eps = static_cast<float>(config.number_or(keys.eps, keys.default_eps));
  return out;
}

void TransformerModel::begin(const Sizes& sizes, const HeadShape& heads) {
  shape_.hidden_size = sizes.hidden;
  shape_.vocab_size = sizes.vocab;
  shape_.positions = sizes.positions;
  shape_.heads = heads;
  embedding_.embedding_size = sizes.hidden;
  transformer_ = Transformer(sizes.hidden, heads, sizes.intermediate);
}

void require_encoder(const ConfigView& config, std::string_view positions) {
  if (config.boolean_or("is_decoder", false)) {
    throw LoadError(config.file() + ": is_decoder is true, expected an encoder (false or absent)");
  }
  const std::string found = config.string_or("position_embedding_type", positions);
  if (found != positions) {
    throw LoadError(fmt::format("{}: position_embedding_type is '{}', expected '{}'", config.file(), found, positions));
  }
}

void require_equal_heads(const ConfigView& config, size_t hidden, size_t heads) {
  const auto equal = static_cast<int64_t>(hidden / heads);
  const int64_t found = config.integer_or("head_dim", equal, 1, 1 << 16);
  if (found != equal) {
    throw LoadError(fmt::format("{}: head_dim must be {}, the hidden size by the number of heads, found {}",
                                config.file(), equal, found));
  }
}

AttentionMask scaled_mask(size_t head_dim) {
  AttentionMask mask;
  mask.scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  return mask;
}

}  // namespace wde
