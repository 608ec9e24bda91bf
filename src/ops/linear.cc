#include "ops/linear.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "kernels/bf16_choice.h"
#include "kernels/gemm_bf16.h"
#include "kernels/gemm_f16.h"
#include "loader/pack_cache.h"

namespace wde {

Linear::Linear(size_t in_features, size_t out_features, WeightArena& arena)
    : in_(in_features), out_(out_features), arena_(&arena) {}

size_t Linear::place(float* memory) {
  const size_t padded = out_ + 2 * kernels::kPanelCols;  // a whole tile may be read behind the last column
  size_t floats = 0;
  const auto next = [&](size_t count) {
    float* const at = memory == nullptr ? nullptr : memory + floats;
    floats += (count + 15) / 16 * 16;  // whole cache lines
    return at;
  };
  switch (format_) {
    case WeightFormat::kFloat32:
      packed_ = next(kernels::packed_floats(in_, out_));
      break;
    case WeightFormat::kBfloat16:
      halves_ = reinterpret_cast<uint16_t*>(next(kernels::packed_bf16_halves(in_, out_) / 2));
      break;
    case WeightFormat::kFloat16:
      halves_ = reinterpret_cast<uint16_t*>(next(kernels::packed_floats(in_, out_) / 2));
      break;
    case WeightFormat::kInt8:
      int8_.weights = reinterpret_cast<int8_t*>(next(kernels::packed_int8_bytes(in_, out_) / 4));
      int8_.scales = next(padded);
      int8_.sums = reinterpret_cast<int32_t*>(next(padded));
      break;
  }
  bias_ = next(padded);
  return floats;
}

WeightFormat Linear::float32_format(const Weights& weights) {
  return kernels::widening_is_free() ? weights.stored_format() : WeightFormat::kFloat32;
}

void Linear::allocate(Weights& weights, const WeightRows& source) {
  const bool of_layer = arena_->use() == WeightArena::Use::kLayers;
  format_ = asked_ ? *asked_ : of_layer ? weights.policy().format_of(source.weight) : WeightFormat::kFloat32;
  if (format_ == WeightFormat::kInt8 && in_ > kernels::kInt8MaxDepth) format_ = WeightFormat::kFloat32;
  exact_ = format_ == WeightFormat::kFloat32;
  pairs_ = format_ == WeightFormat::kBfloat16 && kernels::bf16_pairs();
  if (exact_ && of_layer && !asked_) format_ = float32_format(weights);
  const size_t bytes = place(nullptr) * sizeof(float);
  PackCache* const cache = of_layer && !asked_ ? weights.pack_cache() : nullptr;
  if (cache == nullptr) {
    place(arena_->take(bytes / sizeof(float)));
    return;
  }
  if (float* const found = cache->find(fmt::format("{}+{} {}x{}", source.weight, source.first, in_, out_), bytes)) {
    filled_ = true;
    arena_->adopt(bytes);
    place(found);
    return;
  }
  float* const memory = arena_->take(bytes / sizeof(float));
  cache->add(memory, bytes);
  place(memory);
}

bool Linear::absent(const Weights& weights, const std::string& name) const {
  return arena_->use() == WeightArena::Use::kLayers && !weights.wants_layer_of(name);
}

void Linear::pack(const float* rows, size_t count, size_t first) {
  if (format_ == WeightFormat::kInt8) {
    kernels::pack_weight_int8(rows, count, in_, first, int8_);
  } else if (format_ == WeightFormat::kBfloat16) {
    kernels::pack_weight_bf16(rows, count, in_, first, halves_);
  } else if (format_ == WeightFormat::kFloat16) {
    kernels::pack_weight_f16(rows, count, in_, first, halves_);
  } else {
    kernels::pack_weight(rows, count, in_, first, packed_);
  }
}

void Linear::load(Weights& weights, const WeightRows& source, size_t first) {
  const size_t total = source.total == 0 ? source.rows : source.total;
  const TensorView& tensor = weights.get(source.weight, {total, in_});
  const TensorView* const bias = source.bias.empty() ? nullptr : &weights.get(source.bias, {total});
  if (absent(weights, source.weight)) return;
  if (bias_ == nullptr) allocate(weights, source);
  if (filled_) return;
  // A panel's rows at a time: converts any dtype and needs no second copy of the weight.
  std::vector<float> chunk(kernels::kPanelCols * in_);
  for (size_t row = 0; row < source.rows; row += kernels::kPanelCols) {
    const size_t count = std::min(kernels::kPanelCols, source.rows - row);
    to_float32(tensor, (source.first + row) * in_, count * in_, chunk.data());
    pack(chunk.data(), count, first + row);
  }
  if (bias != nullptr) to_float32(*bias, source.first, source.rows, bias_ + first);
}

void Linear::load_transposed(Weights& weights, const std::string& name, size_t first, size_t total) {
  const TensorView& tensor = weights.get(name, {total, out_});
  if (absent(weights, name)) return;
  if (bias_ == nullptr) allocate(weights, {name, "", out_});
  std::vector<float> rows(in_ * out_), chunk(kernels::kPanelCols * in_);
  to_float32(tensor, first * out_, rows.size(), rows.data());
  for (size_t col = 0; col < out_; col += kernels::kPanelCols) {
    const size_t count = std::min(kernels::kPanelCols, out_ - col);
    for (size_t c = 0; c < count; ++c)
      for (size_t row = 0; row < in_; ++row) chunk[c * in_ + row] = rows[row * out_ + col + c];
    pack(chunk.data(), count, col);
  }
}

Linear Linear::from(Weights& weights, WeightArena& arena, const std::string& name, size_t in_features,
                    size_t out_features, bool bias) {
  WeightRows rows = WeightRows::of(name, out_features, bias);
  if (arena.use() == WeightArena::Use::kLayers) rows = rows.here(weights);
  Linear linear(in_features, rows.rows, arena);
  linear.load(weights, rows, 0);
  return linear;
}

size_t Linear::scratch_row() const {
  if (format_ == WeightFormat::kInt8) return kernels::quantized_stride(in_) / sizeof(float);
  return pairs_ ? kernels::bf16_row_stride(in_) / 2 : 0;
}

const void* Linear::weights_of(const Part& part) const noexcept {
  if (bias_ == nullptr) return nullptr;  // another process's
  const size_t column = columns(part).begin;
  switch (format_) {
    case WeightFormat::kFloat32:
      return packed_ + column * in_;
    case WeightFormat::kBfloat16:
      return halves_ + kernels::packed_bf16_halves(in_, column);
    case WeightFormat::kFloat16:
      return halves_ + column * in_;
    case WeightFormat::kInt8:
      return int8_.from_column(column, in_).weights;
  }
  return nullptr;
}

void Linear::run_columns(View<const float> x, View<float> y, kernels::GemmEpilogue epilogue, const Part& part,
                         float* scratch, bool rounded) const noexcept {
  const kernels::QuantizedRows bytes{reinterpret_cast<uint8_t*>(scratch), kernels::quantized_stride(in_)};
  const kernels::Bf16Rows halves{reinterpret_cast<uint16_t*>(scratch), kernels::bf16_row_stride(in_)};
  const bool pairs = pairs_ && scratch != nullptr;
  if (format_ == WeightFormat::kInt8 || pairs) {
    const Range rows = part.share(x.rows);
    if (pairs) {
      kernels::round_rows(x.row(rows.begin), x.stride, rows.size(), in_,
                          {halves.data + rows.begin * halves.stride, halves.stride});
    } else {
      kernels::quantize_rows(x.row(rows.begin), x.stride, rows.size(), in_, bytes.from_row(rows.begin));
    }
    part.sync();
  }
  const Range mine = columns(part);
  if (mine.size() == 0) return;
  epilogue.bias = bias_ + mine.begin;
  if (epilogue.residual != nullptr) epilogue.residual += mine.begin;
  if (next_ != nullptr) epilogue.next = next_->weights_of(part);
  float* const out = y.data + mine.begin;
  switch (format_) {
    case WeightFormat::kFloat32:
      return kernels::gemm(x.data, x.stride, packed_ + mine.begin * in_, out, y.stride, x.rows, mine.size(), in_,
                           epilogue);
    case WeightFormat::kBfloat16: {
      const uint16_t* const weights = halves_ + kernels::packed_bf16_halves(in_, mine.begin);
      if (pairs) return kernels::gemm_bf16_pairs(halves, weights, out, y.stride, x.rows, mine.size(), in_, epilogue);
      return kernels::gemm_bf16(x.data, x.stride, weights, out, y.stride, x.rows, mine.size(), in_, epilogue);
    }
    case WeightFormat::kFloat16:
      return kernels::gemm_f16(x.data, x.stride, halves_ + mine.begin * in_, out, y.stride, x.rows, mine.size(), in_,
                               epilogue);
    case WeightFormat::kInt8: {
      const kernels::PackedInt8 weights = int8_.from_column(mine.begin, in_);
      if (!rounded) return kernels::gemm_int8(bytes, weights, out, y.stride, x.rows, mine.size(), in_, epilogue);
      const kernels::Bf16Rows to{reinterpret_cast<uint16_t*>(y.data) + mine.begin, 2 * y.stride};
      return kernels::gemm_int8_rounded(bytes, weights, to, x.rows, mine.size(), in_, epilogue);
    }
  }
}

void Linear::run(View<const float> x, View<float> y, Activation activation, const Part& part,
                 float* scratch) const noexcept {
  kernels::GemmEpilogue epilogue;
  epilogue.activation = activation;
  run_columns(x, y, epilogue, part, scratch);
}

void Linear::run_rounded(View<const float> x, View<float> y, const Part& part, float* scratch) const noexcept {
  run_columns(x, y, {}, part, scratch, true);
}

void Linear::run_add(View<const float> x, View<const float> residual, View<float> y, const Part& part,
                     float* scratch) const noexcept {
  kernels::GemmEpilogue epilogue;
  epilogue.residual = residual.data;
  epilogue.residual_stride = residual.stride;
  run_columns(x, y, epilogue, part, scratch);
}

}  // namespace wde
