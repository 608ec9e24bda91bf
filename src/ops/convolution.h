// Convolution: every token with its neighbours, as DeBERTa-v2's largest models have it behind their first layer:
// x[t] = norm(x[t] + act(sum_j W_j in[t + j - kernel / 2] + b)), zeros beyond both ends of a sequence.
#pragma once

#include <span>
#include <string>

#include "base/arena.h"
#include "kernels/activation.h"
#include "ops/linear.h"
#include "ops/norm.h"

namespace wde {

class Convolution {
 public:
  Convolution() = default;
  // "<name>.conv.weight" [size, size, kernel] and "<name>.LayerNorm"; `kernel` is odd. The weights stay float32.
  Convolution(Weights& weights, WeightArena& arena, const std::string& name, size_t size, size_t kernel,
              Activation activation, float eps);

  explicit operator bool() const { return kernel_ > 0; }
  size_t arena_floats(size_t team) const;
  // in, x [tokens, size] of sequences packed as cu_seqlens say.
  void run(View<const float> in, std::span<const int32_t> cu_seqlens, View<float> x, Arena& arena, Team& team) const;

 private:
  // The neighbourhoods [rows, kernel * size] of tokens [first, first + rows).
  void gather(View<const float> in, std::span<const int32_t> cu_seqlens, size_t first, View<float> out) const;

  size_t size_ = 0, kernel_ = 0;
  Activation activation_ = Activation::kNone;
  Linear linear_;
  Norm norm_;
};

}  // namespace wde
