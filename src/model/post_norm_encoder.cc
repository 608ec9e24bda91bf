#include "model/post_norm_encoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace wde {

namespace {
// Rows that go through the second half of a layer together: their intermediate activations (168 x 1,536 floats = 1 MiB on
// MiniLM) stay in the L2 cache, and the memory for them does not grow with the batch.
constexpr size_t kChunkRows = 168;
}  // namespace

PostNormEncoder::PostNormEncoder(const PostNormConfig& config, const PostNormNames& names, Weights& weights)
    : config_(config), heads_{config.heads, config.heads, config.hidden_size / config.heads} {
  const size_t hidden = config.hidden_size;
  for (size_t i = 0; i < config.layers; ++i) {
    const std::string layer_name = fmt::format("{}.{}.", names.stack, i);
    const auto name = [&](const std::string& rest) { return layer_name + rest; };
    Layer layer;
    layer.qkv = Linear(hidden, 3 * hidden);
    layer.qkv.load(weights, name(names.q) + ".weight", name(names.q) + ".bias", 0, hidden);
    layer.qkv.load(weights, name(names.k) + ".weight", name(names.k) + ".bias", hidden, hidden);
    layer.qkv.load(weights, name(names.v) + ".weight", name(names.v) + ".bias", 2 * hidden, hidden);
    layer.attention_out = Linear::from(weights, name(names.attention_out), hidden, hidden);
    layer.attention_norm = LayerNorm(weights, name(names.attention_norm), hidden, config.eps);
    layer.up = Linear::from(weights, name(names.up), hidden, config.intermediate_size);
    layer.down = Linear::from(weights, name(names.down), config.intermediate_size, hidden);
    layer.output_norm = LayerNorm(weights, name(names.output_norm), hidden, config.eps);
    layers_.push_back(std::move(layer));
  }
}

AttentionMask PostNormEncoder::mask() const {
  AttentionMask mask;
  mask.scale = 1.0f / std::sqrt(static_cast<float>(heads_.head_dim));
  return mask;
}

size_t PostNormEncoder::weight_bytes() const {
  size_t bytes = 0;
  for (const Layer& l : layers_) {
    bytes += l.qkv.bytes() + l.attention_out.bytes() + l.up.bytes() + l.down.bytes() + l.attention_norm.bytes() + l.output_norm.bytes();
  }
  return bytes;
}

size_t PostNormEncoder::arena_floats(size_t tokens, size_t max_seqlen, const AttnBackend& backend) const {
  const size_t hidden = padded_stride(config_.hidden_size);
  return tokens * (padded_stride(3 * config_.hidden_size) + 3 * hidden) +
         std::min(tokens, kChunkRows) * padded_stride(config_.intermediate_size) + backend.scratch_floats(max_seqlen, heads_) + 256;
}

View<float> PostNormEncoder::embeddings(const ModelInput& input, Arena& arena, ModelOutput& output) const {
  View<float> out = output.resize(input.output_rows(), config_.hidden_size);
  return input.rows == RowsNeeded::kAll ? out : arena.matrix(input.tokens(), config_.hidden_size);
}

void PostNormEncoder::finish_layer(const Layer& layer, View<const float> context, View<float> x, View<float> inner) const {
  for (size_t row = 0; row < x.rows; row += kChunkRows) {
    const size_t rows = std::min(kChunkRows, x.rows - row);
    const View<float> x_chunk = x.slice_rows(row, rows), inner_chunk = inner.slice_rows(0, rows);
    layer.attention_out.run_add(context.slice_rows(row, rows), x_chunk, x_chunk);
    layer.attention_norm.run(x_chunk, x_chunk);
    layer.up.run(x_chunk, inner_chunk, config_.activation);
    layer.down.run_add(inner_chunk, x_chunk, x_chunk);
    layer.output_norm.run(x_chunk, x_chunk);
  }
}

void PostNormEncoder::forward(View<float> x, const ModelInput& input, const AttnBackend& backend, Arena& arena, ModelOutput& output) const {
  const size_t hidden = config_.hidden_size, tokens = input.tokens();
  const View<float> qkv = arena.matrix(tokens, 3 * hidden);
  const View<float> context = arena.matrix(tokens, hidden);
  const View<float> inner = arena.matrix(std::min(tokens, kChunkRows), config_.intermediate_size);
  float* scratch = arena.floats(backend.scratch_floats(input.max_seqlen, heads_));
  const View<const float> q = qkv.slice_cols(0, hidden), k = qkv.slice_cols(hidden, hidden), v = qkv.slice_cols(2 * hidden, hidden);
  AttentionBatch batch;
  batch.cu_seqlens = input.cu_seqlens;
  batch.max_seqlen = input.max_seqlen;

  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    layer.qkv.run(x, qkv);
    if (i + 1 < layers_.size() || input.rows == RowsNeeded::kAll) {
      backend.attend(q, k, v, context, heads_, mask(), batch, scratch);
      finish_layer(layer, context, x, inner);
      continue;
    }
    // Behind the last keys and values only the needed rows go on.
    const View<float> needed = output.hidden();
    const View<float> needed_q = arena.matrix(needed.rows, hidden);
    for (size_t r = 0; r < needed.rows; ++r) {
      const auto row = static_cast<size_t>(input.row_indices[r]);
      std::copy_n(x.row(row), hidden, needed.row(r));
      std::copy_n(q.row(row), hidden, needed_q.row(r));
    }
    batch.cu_rows = input.cu_rows;
    batch.q_positions = input.row_positions;
    const View<float> needed_context = context.slice_rows(0, needed.rows);
    backend.attend(needed_q, k, v, needed_context, heads_, mask(), batch, scratch);
    finish_layer(layer, needed_context, needed, inner);
  }
}

}  // namespace wde
