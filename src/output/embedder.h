// Embedder: pooling, then the model's Dense, LayerNorm and Normalize steps in their order.
#pragma once

#include <vector>

#include "ops/linear.h"
#include "ops/norm.h"
#include "output/output_processor.h"

namespace wde {

class Embedder {
 public:
  // Throws LoadError, UsageError.
  explicit Embedder(const OutputConfig& config);

  RowsNeeded rows_needed() const;
  bool wants_prompt_tokens() const { return !pooling_.include_prompt; }
  size_t dimensions() const { return truncated_ > 0 ? truncated_ : dimensions_; }

  // The vector of hidden rows, in the size and length that the request wants.
  Result<std::vector<float>> embed(const Sequence& sequence, View<const float> hidden) const;
  // The same as a response, with this alone in it.
  Result<Response> respond(const Sequence& sequence, View<const float> hidden) const;

 private:
  struct Step {
    PostModule::Kind kind = PostModule::Kind::kNormalize;
    Linear dense, residual;  // the second has no output where the input itself is added
    bool adds_input = false;
    Activation activation = Activation::kNone;
    Norm norm;
    size_t out = 0;
  };
  Step make_step(const PostModule& module);

  PoolingSpec pooling_;
  WeightArena arena_;
  std::vector<Step> steps_;
  size_t pooled_ = 0, dimensions_ = 0, widest_ = 0;
  size_t truncated_ =
      0;  // what the model's files cut vectors to, as sentence-transformers without giving them length 1 again
  bool normalizes_ = false;
};

}  // namespace wde
