// The stack of layers that all these models share: attention and feed-forward with residuals, and normalisation in any
// of the places where architectures put it. What a place does not have stays empty. Knows nothing of embeddings and of
// tensor names: an architecture's file fills the layers. Where several processes have a portion of the columns each
// (Part::exchange), a process computes the attention of its own heads and its own columns of the other products, and
// gets the others' before all columns are needed: no sum is ever split, so that the result is the same to the last bit.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "kernels/activation.h"
#include "model/model.h"
#include "ops/disentangled.h"
#include "ops/experts.h"
#include "ops/gated_linear.h"
#include "ops/linear.h"
#include "ops/norm.h"
#include "ops/rope.h"

namespace wde {

// x += attention_out(out(attend(qkv(attention_in(x))))); x = attention_sum(x);
// x += mlp_out(down(mlp(mlp_in(x))));                    x = mlp_sum(x).
// BERT has the norms of the sums, Llama those of the inputs, Gemma 2 inputs and outputs.
struct TransformerLayer {
  Norm attention_in, attention_out, attention_sum;
  bool attention_out_of_sum = false;  // attention_out takes x + out(…), Jina's code model
  Linear qkv;                         // columns: query heads, key heads, value heads
  Norm q_norm, k_norm;                // of each head, or of all of them together where they are that long
  const Rope* rope = nullptr;
  AttentionMask mask;
  std::optional<Disentangled> relative;  // DeBERTa's positions
  Linear out;

  Norm mlp_in, mlp_out, mlp_sum;
  Linear up;  // ... or
  GatedLinear gated;
  Linear down;
  std::optional<Experts> experts;  // instead of up and down
  Activation activation = Activation::kGelu;
};

class Transformer {
 public:
  Transformer() = default;
  Transformer(size_t hidden_size, const HeadShape& heads, size_t intermediate_size)
      : hidden_(hidden_size), intermediate_(intermediate_size), heads_(heads) {}

  // For the architecture's file, at load.
  WeightArena& arena() { return arena_; }
  TransformerLayer& add_layer();
  TransformerLayer& layer(size_t index) { return *layers_[order_[index]]; }
  // The same layer once more: ALBERT's layers share their weights.
  void repeat_layer(size_t index) { order_.push_back(index); }
  const Rope* add_rope(const RopeConfig& config, size_t rotary_dim,
                       kernels::RotaryPairs pairs = kernels::RotaryPairs::kHalves);
  void set_final_norm(Norm norm) { final_norm_ = std::move(norm); }

  const HeadShape& heads() const { return heads_; }
  size_t layers() const { return order_.size(); }
  std::vector<AttentionMask> masks() const;
  size_t weight_bytes() const { return arena_.bytes(); }
  bool shares_prefixes() const;
  bool divides_columns() const;
  void reserve(size_t max_seqlen);
  size_t arena_floats(size_t tokens, size_t max_seqlen, size_t team, const AttnBackend& backend) const;

  // Layers [range.first, range.last) of x [tokens, hidden_size], which is overwritten. The last one writes
  // output.hidden(), which is x itself if all rows are needed.
  void forward(View<float> x, const ModelInput& input, LayerRange range, const AttnBackend& backend, Arena& arena,
               Team& team, ModelOutput& output) const;

 private:
  // Rows that are at work between the GEMMs of a layer's second half; one member's, or everybody's.
  struct Scratch {
    View<float> normed, inner, gated, experts;
    View<float> linear;  // of whichever Linear is at work
    Scratch slice_rows(size_t begin, size_t count) const {
      return {normed.slice_rows(begin, count), inner.slice_rows(begin, count), gated.slice_rows(begin, count),
              experts.slice_rows(begin, count), linear.slice_rows(begin, count)};
    }
  };
  // Queries, keys and values of some rows, side by side.
  struct Qkv {
    View<float> all;
    size_t q_cols = 0, k_cols = 0;  // floats
    bool rounded = false;           // to bfloat16, two in a float
    View<float> q() const { return all.slice_cols(0, q_cols); }
    View<float> k() const { return all.slice_cols(q_cols, k_cols); }
    View<float> v() const { return all.slice_cols(q_cols + k_cols, k_cols); }
    Qkv slice_rows(size_t begin, size_t count) const { return {all.slice_rows(begin, count), q_cols, k_cols, rounded}; }
  };
  // Whether nothing needs the layer's queries and keys as floats: its product may round them for the attention.
  bool rounds(const TransformerLayer& layer, const ModelInput& input, const AttnBackend& backend) const;
  size_t inner_cols() const;
  size_t gated_cols() const;                   // of a gated layer's products; 0: no layer is gated
  size_t expert_cols() const;                  // of the experts' scratch; 0: no layer has them
  size_t linear_scratch() const;               // floats a row, of the Linear that needs most
  size_t relative_cols() const;                // of c2p and of p2c; 0: no layer has them
  HeadShape heads_of(const Part& part) const;  // that its process has
  void score_positions(const TransformerLayer& layer, View<const float> q, View<const float> k, View<float> c2p,
                       View<float> p2c, size_t max_seqlen, const Part& part) const;
  void project(const TransformerLayer& layer, View<const float> x, const Qkv& qkv, const Scratch& scratch,
               const ModelInput& input, size_t first_row, const Part& part) const;
  void add(const Linear& linear, View<const float> in, const Norm& inner, bool inner_of_sum, const Norm& sum,
           View<float> x, const Scratch& scratch, const Part& part) const;
  void finish(const TransformerLayer& layer, View<const float> context, View<float> x, const Scratch& scratch,
              const Part& part) const;
  void chain_products();
  void finish_in_chunks(const TransformerLayer& layer, View<const float> context, View<float> x, const Scratch& scratch,
                        const Part& part) const;

  size_t hidden_ = 0, intermediate_ = 0;
  HeadShape heads_;
  WeightArena arena_{WeightArena::Use::kLayers};
  std::vector<std::unique_ptr<TransformerLayer>> layers_;
  std::vector<size_t> order_;
  std::vector<std::unique_ptr<Rope>> ropes_;
  Norm final_norm_;
};

}  // namespace wde
