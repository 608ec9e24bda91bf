#include "model/transformer.h"

#include <algorithm>

#include "kernels/bf16_choice.h"
#include "kernels/elementwise.h"

namespace wde {

namespace {
// Rows that go through the halves of a layer together: their intermediate activations (168 x 1,536 floats = 1 MiB on
// MiniLM) stay in the L2 cache, and the memory for them does not grow with the batch.
constexpr size_t kChunkRows = 168;
// From so many rows a member on, members take rows: then they meet only around the attention. Below, they take columns,
// so that each streams only its share of the weights from memory. Members of several processes always do: theirs have
// no others.
constexpr size_t kRowsAMember = 28;

View<float> share_of(View<float> x, const Part& part) {
  const Range rows = part.share(x.rows);
  return x.slice_rows(rows.begin, rows.size());
}

// The columns of a Linear's output that this process computes.
View<float> own_columns(View<float> y, const Part& part) {
  const Range own = part.own(y.cols, kernels::kPanelCols);
  return y.slice_cols(own.begin, own.size());
}

// Of heads from `first` on.
AttentionMask from_head(AttentionMask mask, size_t first) {
  if (mask.alibi_slopes != nullptr) mask.alibi_slopes += first;
  if (mask.relative_bias != nullptr) mask.relative_bias += first * (2 * mask.relative_span - 1);
  return mask;
}

// The same memory with its first row as row `first`.
View<float> numbered_from(View<float> x, size_t first) { return {x.data - first * x.stride, x.rows, x.cols, x.stride}; }

// f(rows) for pieces of at most `chunk` rows, as even as can be.
template <class F>
void for_chunks(Range rows, size_t chunk, const F& f) {
  const size_t pieces = (rows.size() + chunk - 1) / chunk;
  for (size_t i = 0; i < pieces; ++i) {
    const Range piece = wde::share_of(rows.size(), 1, i, pieces);
    f(Range{rows.begin + piece.begin, rows.begin + piece.end});
  }
}

// The end of the sequences from `first` on that have `rows` rows together, or of one that is longer.
size_t end_of_group(std::span<const int32_t> cu_seqlens, size_t first, size_t rows) {
  size_t end = first + 1;
  while (end + 1 < cu_seqlens.size() && static_cast<size_t>(cu_seqlens[end + 1] - cu_seqlens[first]) <= rows) {
    ++end;
  }
  return end;
}

View<float> linear_rows(Arena& arena, size_t rows, size_t floats) {
  return {floats > 0 ? arena.floats(rows * floats) : nullptr, rows, floats, floats};
}
}  // namespace

TransformerLayer& Transformer::add_layer() {
  order_.push_back(layers_.size());
  return *layers_.emplace_back(std::make_unique<TransformerLayer>());
}

const Rope* Transformer::add_rope(const RopeConfig& config, size_t rotary_dim, kernels::RotaryPairs pairs) {
  return ropes_.emplace_back(std::make_unique<Rope>(config, rotary_dim, pairs)).get();
}

std::vector<AttentionMask> Transformer::masks() const {
  std::vector<AttentionMask> out;
  for (const auto& layer : layers_) out.push_back(layer->mask);
  return out;
}

bool Transformer::shares_prefixes() const {
  return std::none_of(ropes_.begin(), ropes_.end(), [](const auto& rope) { return rope->depends_on_length(); }) &&
         std::none_of(layers_.begin(), layers_.end(), [](const auto& layer) { return layer->relative.has_value(); });
}

// A norm over several heads needs those of the other processes.
bool Transformer::divides_columns() const {
  return std::none_of(layers_.begin(), layers_.end(),
                      [&](const auto& l) { return l->q_norm.size() > heads_.head_dim; });
}

HeadShape Transformer::heads_of(const Part& part) const {
  const size_t kv_heads = part.own(heads_.num_kv_heads, 1).size();
  return {kv_heads * (heads_.num_heads / heads_.num_kv_heads), kv_heads, heads_.head_dim};
}

// What is computed behind what, for the caches: see Linear::precede.
void Transformer::chain_products() {
  for (size_t i = 0; i < order_.size(); ++i) {
    TransformerLayer& layer = *layers_[order_[i]];
    layer.qkv.precede(layer.out);
    if (layer.experts) continue;
    Linear& up = layer.gated ? layer.gated.product() : layer.up;
    layer.out.precede(up);
    up.precede(layer.down);
    if (i + 1 < order_.size()) layer.down.precede(layers_[order_[i + 1]]->qkv);
  }
}

void Transformer::reserve(size_t max_seqlen) {
  chain_products();
  for (const auto& layer : layers_) {
    layer->mask.bf16 = !layer->qkv.exact() && kernels::bf16_attention();
  }
  for (const auto& rope : ropes_) rope->reserve(max_seqlen);
}

size_t Transformer::gated_cols() const {
  const bool gated = std::any_of(layers_.begin(), layers_.end(), [](const auto& l) { return bool(l->gated); });
  return gated ? intermediate_ : 0;
}

size_t Transformer::inner_cols() const {
  return gated_cols() > 0 ? GatedLinear::inner_of(intermediate_) : intermediate_;
}

size_t Transformer::expert_cols() const {
  size_t cols = 0;
  for (const auto& layer : layers_) {
    if (layer->experts) cols = std::max(cols, layer->experts->scratch_cols());
  }
  return cols;
}

size_t Transformer::linear_scratch() const {
  size_t floats = 0;
  for (const auto& layer : layers_) {
    floats = std::max({floats, layer->qkv.scratch_row(), layer->out.scratch_row(), layer->up.scratch_row(),
                       layer->gated.scratch_row(), layer->down.scratch_row()});
  }
  return floats;
}

size_t Transformer::relative_cols() const {
  size_t positions = 0;
  for (const auto& layer : layers_) {
    if (layer->relative) positions = std::max(positions, layer->relative->positions());
  }
  return heads_.num_heads * positions;
}

size_t Transformer::arena_floats(size_t tokens, size_t max_seqlen, size_t team, const AttnBackend& backend) const {
  const size_t context = heads_.num_heads * heads_.head_dim;
  const size_t qkv = context + 2 * heads_.num_kv_heads * heads_.head_dim;
  const size_t rows = std::min(tokens, kChunkRows);
  const size_t relative = relative_cols() > 0 ? 2 * padded_stride(relative_cols()) : 0;
  return tokens * (padded_stride(qkv) + 2 * padded_stride(context) + relative) +
         team * (rows * (padded_stride(hidden_) + padded_stride(inner_cols()) + padded_stride(gated_cols()) +
                         padded_stride(expert_cols()) + linear_scratch()) +
                 backend.member_scratch_floats(max_seqlen, heads_) + 64) +
         256;
}

bool Transformer::rounds(const TransformerLayer& layer, const ModelInput& input, const AttnBackend& backend) const {
  return layer.mask.bf16 && layer.qkv.rounds() && backend.takes_rounded() && heads_.head_dim % 2 == 0 &&
         !layer.q_norm && layer.rope == nullptr && !layer.relative && input.prefix_lens.empty();
}

// First half of a layer up to the attention, for rows from first_row of the batch on.
void Transformer::project(const TransformerLayer& layer, View<const float> x, const Qkv& to, const Scratch& scratch,
                          const ModelInput& input, size_t first_row, const Part& part) const {
  if (layer.attention_in) {
    const Range rows = part.share(x.rows);
    layer.attention_in.run(x.slice_rows(rows.begin, rows.size()), share_of(scratch.normed.slice_rows(0, x.rows), part));
    part.sync();
    x = scratch.normed.slice_rows(0, x.rows);
  }
  if (to.rounded) return layer.qkv.run_rounded(x, to.all, part, scratch.linear.data);
  const View<float> qkv = to.all;
  layer.qkv.run(x, qkv, Activation::kNone, part, scratch.linear.data);
  if (!layer.q_norm && layer.rope == nullptr) return;
  part.sync();
  const HeadShape heads = heads_of(part);
  const size_t head_dim = heads.head_dim, q_cols = heads.num_heads * head_dim, k_cols = heads.num_kv_heads * head_dim;
  const Range rows = part.share(x.rows);
  if (layer.q_norm) {
    for (size_t row = rows.begin; row < rows.end; ++row) {
      float* q = qkv.row(row);
      float* k = q + q_cols;
      // Each head is a row of its own to the norm, unless the norm is as long as all of them.
      const size_t q_size = layer.q_norm.size(), k_size = layer.k_norm.size();
      const View<float> q_rows{q, q_cols / q_size, q_size, q_size}, k_rows{k, k_cols / k_size, k_size, k_size};
      layer.q_norm.run(q_rows, q_rows);
      layer.k_norm.run(k_rows, k_rows);
    }
  }
  if (layer.rope != nullptr) {
    // Row numbers are the batch's.
    const View<float> batch_rows{qkv.data - first_row * qkv.stride, first_row + qkv.rows, qkv.cols, qkv.stride};
    layer.rope->apply(batch_rows, heads.num_heads + heads.num_kv_heads, head_dim, input.positions, input.cu_seqlens,
                      {first_row + rows.begin, first_row + rows.end});
  }
}

// Each member has its share of the heads. Only positions that sequences of this length can have are scored.
void Transformer::score_positions(const TransformerLayer& layer, View<const float> q, View<const float> k,
                                  View<float> c2p, View<float> p2c, size_t max_seqlen, const Part& part) const {
  const AttentionMask& mask = layer.mask;
  const Range heads = part.share(heads_of(part).num_heads);
  const int32_t* const zero = mask.relative_index + mask.relative_span - 1;  // the index of distance 0
  const auto [lowest, highest] = std::minmax_element(zero - (max_seqlen - 1), zero + max_seqlen);
  const auto first = static_cast<size_t>(*lowest), last = static_cast<size_t>(*highest) + 1;
  if (layer.relative->has_keys()) layer.relative->score_queries(q, c2p, heads.begin, heads.end, first, last);
  if (layer.relative->has_queries()) layer.relative->score_keys(k, p2c, heads.begin, heads.end, first, last);
}

// x = sum(x + inner(linear(in))), or sum(x + inner(x + linear(in)))
void Transformer::add(const Linear& linear, View<const float> in, const Norm& inner, bool inner_of_sum, const Norm& sum,
                      View<float> x, const Scratch& scratch, const Part& part) const {
  const View<float> mine = share_of(x, part);
  if (inner) {
    const View<float> normed = scratch.normed.slice_rows(0, x.rows);
    if (inner_of_sum) {
      linear.run_add(in, own_columns(x, part), own_columns(normed, part), part, scratch.linear.data);
    } else {
      linear.run(in, own_columns(normed, part), Activation::kNone, part, scratch.linear.data);
    }
    part.complete(normed, kernels::kPanelCols);
    const View<float> added = share_of(normed, part);
    inner.run(added, added);
    for (size_t row = 0; row < mine.rows; ++row) kernels::add(added.row(row), mine.row(row), hidden_);
    part.sync();
  } else {
    const View<float> own = own_columns(x, part);
    linear.run_add(in, own, own, part, scratch.linear.data);
    part.complete(x, kernels::kPanelCols);
  }
  if (!sum) return;
  sum.run(mine, mine);
  part.sync();
}

void Transformer::finish(const TransformerLayer& layer, View<const float> context, View<float> x,
                         const Scratch& scratch, const Part& part) const {
  const View<float> normed = scratch.normed.slice_rows(0, x.rows);
  add(layer.out, context, layer.attention_out, layer.attention_out_of_sum, layer.attention_sum, x, scratch, part);
  View<const float> in = x;
  if (layer.mlp_in) {
    layer.mlp_in.run(share_of(x, part), share_of(normed, part));
    part.sync();
    in = normed;
  }
  View<float> inner = scratch.inner.slice_rows(0, x.rows);
  if (layer.experts) {
    const Range rows = part.share(x.rows);
    const View<float> mine = x.slice_rows(rows.begin, rows.size());
    layer.experts->run(in.slice_rows(rows.begin, rows.size()), mine, inner.slice_rows(rows.begin, rows.size()),
                       scratch.experts.slice_rows(rows.begin, rows.size()), layer.activation);
    if (layer.mlp_sum) layer.mlp_sum.run(mine, mine);
    part.sync();
    return;
  }
  if (layer.gated) {
    const View<float> gated = scratch.gated.slice_rows(0, x.rows);
    layer.gated.run(in, inner, own_columns(gated, part), layer.activation, part, scratch.linear.data);
    inner = gated;
  } else {
    inner.cols = intermediate_;
    layer.up.run(in, own_columns(inner, part), layer.activation, part, scratch.linear.data);
  }
  part.complete(inner, kernels::kPanelCols);
  add(layer.down, inner, layer.mlp_out, false, layer.mlp_sum, x, scratch, part);
}

void Transformer::finish_in_chunks(const TransformerLayer& layer, View<const float> context, View<float> x,
                                   const Scratch& scratch, const Part& part) const {
  for_chunks({0, x.rows}, scratch.normed.rows, [&](Range rows) {
    finish(layer, context.slice_rows(rows.begin, rows.size()), x.slice_rows(rows.begin, rows.size()), scratch, part);
  });
}

void Transformer::forward(View<float> x, const ModelInput& input, LayerRange range, const AttnBackend& backend,
                          Arena& arena, Team& team, ModelOutput& output) const {
  const size_t tokens = input.tokens(), chunk = std::min(tokens, kChunkRows), head_dim = heads_.head_dim;
  const size_t q_cols = heads_.num_heads * head_dim, k_cols = heads_.num_kv_heads * head_dim;
  const size_t group_cols = q_cols / heads_.num_kv_heads;
  const size_t relative = relative_cols();
  const bool all_rows = input.rows == RowsNeeded::kAll;
  const size_t group = kChunkRows * team.size();
  // Some sequences at a time go through a whole layer, and what lies between the layer's products is always in the same
  // memory: it is in the cache still when attention comes.
  const bool may_group = team.is_alone() && input.prefix_lens.empty() && relative == 0;
  const size_t rows_at_once = may_group && all_rows ? std::min(tokens, std::max(group, input.max_seqlen)) : tokens;
  const View<float> all_qkv = arena.matrix(rows_at_once, q_cols + 2 * k_cols);
  const View<float> context = arena.matrix(rows_at_once, q_cols);
  const size_t floats = backend.member_scratch_floats(input.max_seqlen, heads_);
  float* const attention_scratches = arena.floats(floats * team.size());
  const auto chunks = [&](size_t cols) {
    return cols > 0 ? arena.matrix(chunk * team.size(), cols) : View<float>{nullptr, chunk * team.size()};
  };
  Scratch scratches;
  scratches.inner = chunks(inner_cols());
  scratches.linear = linear_rows(arena, chunk * team.size(), linear_scratch());
  scratches.gated = chunks(gated_cols());
  scratches.experts = chunks(expert_cols());
  scratches.normed = chunks(hidden_);  // last: where norms come behind the layers, its pages are never touched
  const View<float> c2p = relative > 0 ? arena.matrix(tokens, relative) : View<float>{},
                    p2c = relative > 0 ? arena.matrix(tokens, relative) : View<float>{};
  const size_t last = std::min(range.last, layers());
  const bool ends = last == layers();
  const View<float> needed = ends ? output.resize(input.output_rows(), hidden_) : View<float>{};
  const View<float> all_needed_q = all_rows || !ends ? View<float>{} : arena.matrix(needed.rows, q_cols);

  team.run([&](const Part& part) {
    const HeadShape heads = heads_of(part);
    const Range own = part.own(q_cols, group_cols);  // the heads' columns of the context
    const auto qkv_of = [&](const TransformerLayer& layer) {
      const bool rounded = rounds(layer, input, backend);
      const size_t together = rounded ? 2 : 1, own_q = own.size() / together;
      const size_t own_k = heads.num_kv_heads * head_dim / together;
      // Rows close together, so that halves need half of the cache.
      const size_t stride = rounded ? padded_stride(all_qkv.cols / together) : all_qkv.stride;
      return Qkv{{all_qkv.data, tokens, own_q + 2 * own_k, stride}, own_q, own_k, rounded};
    };
    const bool by_rows = part.exchange == nullptr && tokens >= kRowsAMember * part.size;
    const Part together = by_rows ? Part{} : part;  // those who share the work on a row
    // Of some rows, those of the member.
    const auto own_rows = [&](Range of) {
      const Range share = by_rows ? part.share(of.size()) : Range{0, of.size()};
      return Range{of.begin + share.begin, of.begin + share.end};
    };
    const Scratch scratch = by_rows ? scratches.slice_rows(part.rank * chunk, chunk) : scratches;
    float* const attention_scratch = attention_scratches + part.rank * floats;
    AttentionBatch batch;
    batch.max_seqlen = input.max_seqlen;
    batch.prefix_rows = input.prefix_rows;
    batch.prefix_lens = input.prefix_lens;
    const auto attend = [&](View<const float> queries, const Qkv& qkv, View<float> out, const AttentionMask& mask) {
      batch.rounded = qkv.rounded;
      if (own.size() > 0) {
        backend.attend(queries, qkv.k(), qkv.v(), out.slice_cols(own.begin, own.size()), heads,
                       from_head(mask, own.begin / head_dim), batch, attention_scratch, part);
      }
      part.complete(out, group_cols);
    };

    const auto project_rows = [&](const TransformerLayer& layer, const Qkv& qkv, Range rows) {
      const Range mine = own_rows(rows);
      for_chunks(mine, scratch.normed.rows, [&](Range r) {
        if (r.begin > mine.begin) together.sync();  // everybody has done with the scratch
        project(layer, x.slice_rows(r.begin, r.size()), qkv.slice_rows(r.begin, r.size()), scratch, input, r.begin,
                together);
      });
      part.sync();
      if (layer.relative) {
        batch.c2p = layer.relative->has_keys() ? c2p : View<float>{};
        batch.p2c = layer.relative->has_queries() ? p2c : View<float>{};
      }
    };
    const auto take_sequences = [&](Range of) {
      batch.cu_seqlens = std::span(input.cu_seqlens).subspan(of.begin, of.size() + 1);
      const std::span<const int32_t> unseen = input.unseen_lens;
      batch.unseen_lens = unseen.subspan(std::min(of.begin, unseen.size()));
      return Range{static_cast<size_t>(batch.cu_seqlens.front()), static_cast<size_t>(batch.cu_seqlens.back())};
    };
    const size_t sequences = input.sequences();
    const bool in_groups = may_group && by_rows;

    for (size_t i = range.first; i < last; ++i) {
      const TransformerLayer& layer = *layers_[order_[i]];
      const Qkv qkv = qkv_of(layer);
      if (i + 1 < layers() || all_rows) {
        for (size_t first = 0, end; first < sequences; first = end) {
          end = in_groups ? end_of_group(input.cu_seqlens, first, group) : sequences;
          const Range rows = take_sequences({first, end}), mine = own_rows(rows);
          const size_t row = in_groups ? rows.begin : 0;
          const Qkv here{numbered_from(qkv.all, row), qkv.q_cols, qkv.k_cols, qkv.rounded};
          const View<float> attended = numbered_from(context, row);
          project_rows(layer, here, rows);
          if (layer.relative) {
            score_positions(layer, here.q(), here.k(), c2p, p2c, input.max_seqlen, part);
            part.sync();
          }
          attend(here.q(), here, attended, layer.mask);
          finish_in_chunks(layer, attended.slice_rows(mine.begin, mine.size()), x.slice_rows(mine.begin, mine.size()),
                           scratch, together);
        }
        continue;
      }
      if (in_groups) part.sync();  // a member's rows are others now: its share of all
      project_rows(layer, qkv, take_sequences({0, sequences}));
      // Behind the last keys and values only the needed rows go on.
      const View<float> needed_q = all_needed_q.slice_cols(0, qkv.q_cols);
      const Range mine = part.share(needed.rows);
      for (size_t r = mine.begin; r < mine.end; ++r) {
        const auto row = static_cast<size_t>(input.row_indices[r]);
        std::copy_n(x.row(row), hidden_, needed.row(r));
        std::copy_n(qkv.q().row(row), qkv.q_cols, needed_q.row(r));
      }
      part.sync();
      batch.cu_rows = input.cu_rows;
      batch.q_positions = input.row_positions;
      if (layer.relative) {
        score_positions(layer, needed_q, qkv.k(), c2p, p2c, input.max_seqlen, part);
        part.sync();
      }
      const View<float> needed_context = context.slice_rows(0, needed.rows);
      attend(needed_q, qkv, needed_context, layer.mask);
      if (part.exchange != nullptr || needed.rows <= chunk) {
        finish_in_chunks(layer, needed_context, needed, scratches, part);
      } else {
        finish_in_chunks(layer, needed_context.slice_rows(mine.begin, mine.size()),
                         needed.slice_rows(mine.begin, mine.size()), scratches.slice_rows(part.rank * chunk, chunk),
                         {});
        part.sync();
      }
    }
    if (ends && final_norm_) {
      if (in_groups && all_rows) part.sync();  // as above
      const Range rows = own_rows({0, tokens});
      const View<float> mine = all_rows && by_rows ? x.slice_rows(rows.begin, rows.size()) : share_of(needed, part);
      final_norm_.run(mine, mine);
    }
  });
}

}  // namespace wde
