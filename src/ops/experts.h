// Experts: a feed-forward of which every token takes the best few of several, weighted by a router's softmax (which is
// not normalised again). With int8 weights the experts stay in float32, and the router always does. The result of a
// token does not depend on the other tokens.
#pragma once

#include <string>
#include <vector>

#include "ops/linear.h"

namespace wde {

class Experts {
 public:
  struct Names {
    std::string router;  // "<router>.weight" [experts, hidden]
    std::string up;      // [experts * inner, hidden]
    std::string down;    // [experts * inner, hidden]: transposed
    std::string bias;    // [hidden], added once
  };
  Experts(Weights& weights, WeightArena& arena, const Names& names, size_t experts, size_t top, size_t hidden,
          size_t inner);

  size_t scratch_cols() const { return hidden_stride() * 3 + router_.out_features(); }
  // y += bias + sum of the experts' outputs for x [rows, hidden], which may be y. inner [rows, inner], scratch [rows,
  // scratch_cols()].
  void run(View<const float> x, View<float> y, View<float> inner, View<float> scratch, Activation activation) const;

 private:
  size_t hidden_stride() const { return (bias_.size() + 15) / 16 * 16; }

  size_t top_;
  Linear router_;
  std::vector<Linear> up_, down_;
  std::vector<float> bias_;
};

}  // namespace wde
