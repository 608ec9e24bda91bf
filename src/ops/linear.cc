#include "ops/linear.h"

#include <algorithm>
#include <vector>

namespace wde {

Linear::Linear(size_t in_features, size_t out_features, WeightArena& arena)
    : in_(in_features),
      out_(out_features),
      packed_(arena.take(kernels::packed_floats(in_features, out_features))),
      bias_(arena.take(out_features + 2 * kernels::kPanelCols)) {}  // a whole tile may be read behind the last column

void Linear::load(Weights& weights, const std::string& weight, const std::string& bias, size_t first, size_t rows,
                  float scale) {
  const TensorView& tensor = weights.get(weight, {rows, in_});
  // A panel's rows at a time: converts any dtype and needs no second copy of the weight.
  std::vector<float> chunk(kernels::kPanelCols * in_);
  for (size_t row = 0; row < rows; row += kernels::kPanelCols) {
    const size_t count = std::min(kernels::kPanelCols, rows - row);
    to_float32(tensor, row * in_, count * in_, chunk.data());
    kernels::pack_weight(chunk.data(), count, in_, first + row, scale, packed_);
  }
  SafetensorsFile::release_pages(tensor);
  if (bias.empty()) return;
  const TensorView& b = weights.get(bias, {rows});
  to_float32(b, 0, rows, bias_ + first);
  for (size_t i = 0; i < rows; ++i) bias_[first + i] *= scale;
}

Linear Linear::from(Weights& weights, WeightArena& arena, const std::string& name, size_t in_features,
                    size_t out_features, bool bias) {
  Linear linear(in_features, out_features, arena);
  linear.load(weights, name + ".weight", bias ? name + ".bias" : "", 0, out_features);
  return linear;
}

void Linear::run_columns(View<const float> x, View<float> y, kernels::GemmEpilogue epilogue,
                         const Part& part) const noexcept {
  // Two panels: the widest tile.
  const Range columns = part.share(out_, 2 * kernels::kPanelCols);
  if (columns.size() == 0) return;
  epilogue.bias = bias_ + columns.begin;
  if (epilogue.residual != nullptr) epilogue.residual += columns.begin;
  kernels::gemm(x.data, x.stride, packed_ + columns.begin * in_, y.data + columns.begin, y.stride, x.rows,
                columns.size(), in_, epilogue);
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
