#include "ops/linear.h"

#include <algorithm>
#include <vector>

namespace wde {

Linear::Linear(size_t in_features, size_t out_features, WeightArena& arena)
    : in_(in_features),
      out_(out_features),
      packed_(arena.take(kernels::packed_floats(in_features, out_features))),
      bias_(arena.take(out_features + 2 * kernels::kPanelCols)) {}  // a whole tile may be read behind the last column

void Linear::load(Weights& weights, const WeightRows& source, size_t first) {
  const size_t total = source.total == 0 ? source.rows : source.total;
  const TensorView& tensor = weights.get(source.weight, {total, in_});
  // A panel's rows at a time: converts any dtype and needs no second copy of the weight.
  std::vector<float> chunk(kernels::kPanelCols * in_);
  for (size_t row = 0; row < source.rows; row += kernels::kPanelCols) {
    const size_t count = std::min(kernels::kPanelCols, source.rows - row);
    to_float32(tensor, (source.first + row) * in_, count * in_, chunk.data());
    kernels::pack_weight(chunk.data(), count, in_, first + row, packed_);
  }
  weights.release(tensor);
  if (!source.bias.empty()) to_float32(weights.get(source.bias, {total}), source.first, source.rows, bias_ + first);
}

void Linear::load_transposed(Weights& weights, const std::string& name, size_t first, size_t total) {
  const TensorView& tensor = weights.get(name, {total, out_});
  std::vector<float> rows(in_ * out_), chunk(kernels::kPanelCols * in_);
  to_float32(tensor, first * out_, rows.size(), rows.data());
  for (size_t col = 0; col < out_; col += kernels::kPanelCols) {
    const size_t count = std::min(kernels::kPanelCols, out_ - col);
    for (size_t c = 0; c < count; ++c)
      for (size_t row = 0; row < in_; ++row) chunk[c * in_ + row] = rows[row * out_ + col + c];
    kernels::pack_weight(chunk.data(), count, in_, col, packed_);
  }
}

Linear Linear::from(Weights& weights, WeightArena& arena, const std::string& name, size_t in_features,
                    size_t out_features, bool bias) {
  Linear linear(in_features, out_features, arena);
  linear.load(weights, WeightRows::of(name, out_features, bias), 0);
  return linear;
}

void Linear::run_columns(View<const float> x, View<float> y, kernels::GemmEpilogue epilogue,
                         const Part& part) const noexcept {
  const Range mine = columns(part);
  if (mine.size() == 0) return;
  epilogue.bias = bias_ + mine.begin;
  if (epilogue.residual != nullptr) epilogue.residual += mine.begin;
  kernels::gemm(x.data, x.stride, packed_ + mine.begin * in_, y.data + mine.begin, y.stride, x.rows, mine.size(), in_,
                epilogue);
}

void Linear::run(View<const float> x, View<float> y, Activation activation, const Part& part) const noexcept {
  kernels::GemmEpilogue epilogue;
  epilogue.activation = activation;
  run_columns(x, y, epilogue, part);
}

void Linear::run_add(View<const float> x, View<const float> residual, View<float> y, const Part& part) const noexcept {
  kernels::GemmEpilogue epilogue;
  epilogue.residual = residual.data;
  epilogue.residual_stride = residual.stride;
  run_columns(x, y, epilogue, part);
}

}  // namespace wde
