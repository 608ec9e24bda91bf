#include "model/post_norm_encoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace wde {

namespace {
// Rows that go through the second half of a layer together: their intermediate activations (168 x 1,536 floats = 1 MiB
// on MiniLM) stay in the L2 cache, and the memory for them does not grow with the batch.
constexpr size_t kChunkRows = 168;
// From so many rows a member on, members take rows: then they meet only around the attention. Below, they take columns,
// so that each streams only its share of the weights from memory.
constexpr size_t kRowsAMember = 28;
}  // namespace

PostNormEncoder::PostNormEncoder(const PostNormConfig& config, const PostNormNames& names, Weights& weights)
    : config_(config), heads_{config.heads, config.heads, config.hidden_size / config.heads} {
  const size_t hidden = config.hidden_size;
  for (size_t i = 0; i < config.layers; ++i) {
    const std::string layer_name = fmt::format("{}.{}.", names.stack, i);
    const auto name = [&](const std::string& rest) { return layer_name + rest; };
    Layer layer;
    layer.qkv = Linear(hidden, 3 * hidden, arena_);
    layer.qkv.load(weights, name(names.q) + ".weight", name(names.q) + ".bias", 0, hidden);
    layer.qkv.load(weights, name(names.k) + ".weight", name(names.k) + ".bias", hidden, hidden);
    layer.qkv.load(weights, name(names.v) + ".weight", name(names.v) + ".bias", 2 * hidden, hidden);
    layer.attention_out = Linear::from(weights, arena_, name(names.attention_out), hidden, hidden);
    layer.attention_norm = LayerNorm(weights, name(names.attention_norm), hidden, config.eps);
    layer.up = Linear::from(weights, arena_, name(names.up), hidden, config.intermediate_size);
    layer.down = Linear::from(weights, arena_, name(names.down), config.intermediate_size, hidden);
    layer.output_norm = LayerNorm(weights, name(names.output_norm), hidden, config.eps);
    layers_.push_back(std::move(layer));
  }
}

AttentionMask PostNormEncoder::mask() const {
  AttentionMask mask;
  mask.scale = 1.0f / std::sqrt(static_cast<float>(heads_.head_dim));
  return mask;
}

size_t PostNormEncoder::arena_floats(size_t tokens, size_t max_seqlen, size_t team, const AttnBackend& backend) const {
  const size_t hidden = padded_stride(config_.hidden_size);
  return tokens * (padded_stride(3 * config_.hidden_size) + 3 * hidden) +
         team * (std::min(tokens, kChunkRows) * padded_stride(config_.intermediate_size) +
                 backend.scratch_floats(max_seqlen, heads_) + 64) +
         256;
}

View<float> PostNormEncoder::embeddings(const ModelInput& input, Arena& arena, ModelOutput& output) const {
  View<float> out = output.resize(input.output_rows(), config_.hidden_size);
  return input.rows == RowsNeeded::kAll ? out : arena.matrix(input.tokens(), config_.hidden_size);
}

void PostNormEncoder::finish_rows(const Layer& layer, View<const float> context, View<float> x,
                                  View<float> inner) const {
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

void PostNormEncoder::finish_columns(const Layer& layer, View<const float> context, View<float> x, View<float> inner,
                                     const Part& part) const {
  const Range rows = part.share(x.rows);
  const View<float> x_rows = x.slice_rows(rows.begin, rows.size());
  layer.attention_out.run_add(context, x, x, part);
  part.sync();
  layer.attention_norm.run(x_rows, x_rows);
  part.sync();
  layer.up.run(x, inner.slice_rows(0, x.rows), config_.activation, part);
  part.sync();
  layer.down.run_add(inner.slice_rows(0, x.rows), x, x, part);
  part.sync();
  layer.output_norm.run(x_rows, x_rows);
  part.sync();
}

void PostNormEncoder::forward(View<float> x, const ModelInput& input, const AttnBackend& backend, Arena& arena,
                              Team& team, ModelOutput& output) const {
  const size_t hidden = config_.hidden_size, tokens = input.tokens(), inner_rows = std::min(tokens, kChunkRows);
  const View<float> qkv = arena.matrix(tokens, 3 * hidden);
  const View<float> context = arena.matrix(tokens, hidden);
  const View<float> inners = arena.matrix(inner_rows * team.size(), config_.intermediate_size);
  const size_t scratch_floats = (backend.scratch_floats(input.max_seqlen, heads_) + 15) / 16 * 16;
  float* const scratches = arena.floats(scratch_floats * team.size());
  const View<const float> q = qkv.slice_cols(0, hidden), k = qkv.slice_cols(hidden, hidden),
                          v = qkv.slice_cols(2 * hidden, hidden);
  const bool all_rows = input.rows == RowsNeeded::kAll;
  const View<float> needed = output.hidden();
  const View<float> needed_q = all_rows ? View<float>{} : arena.matrix(needed.rows, hidden);

  team.run([&](const Part& part) {
    const bool by_rows = tokens >= kRowsAMember * part.size;
    const Range rows = by_rows ? part.share(tokens) : Range{0, tokens};
    const View<float> inner = by_rows ? inners.slice_rows(part.rank * inner_rows, inner_rows) : inners;
    float* const scratch = scratches + part.rank * scratch_floats;
    AttentionBatch batch;
    batch.cu_seqlens = input.cu_seqlens;
    batch.max_seqlen = input.max_seqlen;

    for (size_t i = 0; i < layers_.size(); ++i) {
      const Layer& layer = layers_[i];
      if (by_rows) {
        layer.qkv.run(x.slice_rows(rows.begin, rows.size()), qkv.slice_rows(rows.begin, rows.size()));
      } else {
        layer.qkv.run(x, qkv, Activation::kNone, part);
      }
      part.sync();
      if (i + 1 < layers_.size() || all_rows) {
        backend.attend(q, k, v, context, heads_, mask(), batch, scratch, part);
        part.sync();
        if (by_rows) {
          finish_rows(layer, context.slice_rows(rows.begin, rows.size()), x.slice_rows(rows.begin, rows.size()), inner);
        } else {
          finish_columns(layer, context, x, inner, part);
        }
        continue;
      }
      // Behind the last keys and values only the needed rows go on.
      const Range mine = part.share(needed.rows);
      for (size_t r = mine.begin; r < mine.end; ++r) {
        const auto row = static_cast<size_t>(input.row_indices[r]);
        std::copy_n(x.row(row), hidden, needed.row(r));
        std::copy_n(q.row(row), hidden, needed_q.row(r));
      }
      part.sync();
      batch.cu_rows = input.cu_rows;
      batch.q_positions = input.row_positions;
      const View<float> needed_context = context.slice_rows(0, needed.rows);
      backend.attend(needed_q, k, v, needed_context, heads_, mask(), batch, scratch, part);
      part.sync();
      if (needed.rows <= inner_rows) {
        finish_columns(layer, needed_context, needed, inners, part);
      } else {
        finish_rows(layer, needed_context.slice_rows(mine.begin, mine.size()),
                    needed.slice_rows(mine.begin, mine.size()), inners.slice_rows(part.rank * inner_rows, inner_rows));
      }
    }
  });
}

}  // namespace wde
