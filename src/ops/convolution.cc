#include "ops/convolution.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "kernels/elementwise.h"

namespace wde {

namespace {
// Tokens whose neighbourhoods (3 x 1,536 floats in deberta-v2-xlarge) lie in memory at a time, a member: 1 MiB.
constexpr size_t kRows = 56;
}  // namespace

Convolution::Convolution(Weights& weights, WeightArena& arena, const std::string& name, size_t size, size_t kernel,
                         Activation activation, float eps)
    : size_(size), kernel_(kernel), activation_(activation), linear_(kernel * size, size, arena) {
  const std::string tensor = name + ".conv.weight";
  const TensorView& view = weights.get(tensor, {size, size, kernel});
  std::vector<float> stored(view.elements()), values(stored.size());
  to_float32(view, 0, stored.size(), stored.data());
  // [out, in, j] -> [out, j, in], so that a neighbour's row is copied whole.
  for (size_t out = 0; out < size; ++out) {
    for (size_t in = 0; in < size; ++in) {
      for (size_t j = 0; j < kernel; ++j) {
        values[(out * kernel + j) * size + in] = stored[(out * size + in) * kernel + j];
      }
    }
  }
  weights.set(tensor, {size, kernel * size}, std::move(values));
  linear_.take(WeightFormat::kFloat32);
  linear_.load(weights, WeightRows::of(name + ".conv", size, true), 0);
  norm_ = Norm::layer(weights, name + ".LayerNorm", size, eps);
}

size_t Convolution::arena_floats(size_t team) const {
  return kernel_ == 0 ? 0 : team * kRows * (padded_stride(kernel_ * size_) + padded_stride(size_)) + 64;
}

void Convolution::gather(View<const float> in, std::span<const int32_t> cu_seqlens, size_t first,
                         View<float> out) const {
  size_t sequence = 0;
  for (size_t row = 0; row < out.rows; ++row) {
    const size_t token = first + row;
    while (static_cast<size_t>(cu_seqlens[sequence + 1]) <= token) ++sequence;
    const auto begin = static_cast<size_t>(cu_seqlens[sequence]), end = static_cast<size_t>(cu_seqlens[sequence + 1]);
    for (size_t j = 0; j < kernel_; ++j) {
      float* to = out.row(row) + j * size_;
      const size_t shifted = token + j, half = kernel_ / 2;
      if (shifted < begin + half || shifted >= end + half) {
        std::fill_n(to, size_, 0.0f);
      } else {
        std::copy_n(in.row(shifted - half), size_, to);
      }
    }
  }
}

void Convolution::run(View<const float> in, std::span<const int32_t> cu_seqlens, View<float> x, Arena& arena,
                      Team& team) const {
  const View<float> windows = arena.matrix(team.size() * kRows, kernel_ * size_),
                    sums = arena.matrix(team.size() * kRows, size_);
  team.run([&](const Part& part) {
    const Range mine = part.share(x.rows);
    for (size_t row = mine.begin; row < mine.end; row += kRows) {
      const size_t count = std::min(kRows, mine.end - row);
      const View<float> window = windows.slice_rows(part.rank * kRows, count),
                        sum = sums.slice_rows(part.rank * kRows, count), to = x.slice_rows(row, count);
      gather(in, cu_seqlens, row, window);
      linear_.run(window, sum, activation_);
      for (size_t r = 0; r < count; ++r) kernels::add(sum.row(r), to.row(r), size_);
      norm_.run(to, to);
    }
  });
}

}  // namespace wde
