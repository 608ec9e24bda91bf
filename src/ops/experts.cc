#include "ops/experts.h"

#include <algorithm>
#include <cmath>

#include "kernels/elementwise.h"

namespace wde {

namespace {

// softmax(logits), of which the `top` largest stay; the first of two that are equal. The others become 0. Where one is
// NaN, it and others become NaN.
void choose(float* logits, size_t n, size_t top) {
  const float largest = *std::max_element(logits, logits + n);
  double sum = 0;
  for (size_t i = 0; i < n; ++i) sum += std::exp(static_cast<double>(logits[i]) - static_cast<double>(largest));
  const auto before = [&](size_t a, size_t b) { return logits[a] > logits[b] || (logits[a] == logits[b] && a < b); };
  const auto rank = [&](size_t i) {
    size_t better = 0;
    for (size_t j = 0; j < n; ++j) better += before(j, i) ? 1 : 0;
    return better;
  };
  uint64_t chosen = 0;
  for (size_t i = 0; i < n; ++i)
    if (rank(i) < top) chosen |= uint64_t{1} << i;
  for (size_t i = 0; i < n; ++i) {
    const double weight = std::exp(static_cast<double>(logits[i]) - static_cast<double>(largest)) / sum;
    logits[i] = (chosen >> i & 1) != 0 ? static_cast<float>(weight) : 0.0f;
  }
}

}  // namespace

Experts::Experts(Weights& weights, WeightArena& arena, const Names& names, size_t experts, size_t top, size_t hidden,
                 size_t inner)
    : top_(top), router_(hidden, experts, arena), bias_(hidden) {
  router_.take(WeightFormat::kFloat32);
  router_.load(weights, WeightRows::of(names.router, experts, false), 0);
  const WeightFormat asked = weights.policy().format_of(names.up);
  const WeightFormat format = asked == WeightFormat::kBfloat16 ? asked : Linear::float32_format(weights);
  for (size_t e = 0; e < experts; ++e) {
    up_.emplace_back(hidden, inner, arena).take(format);
    up_.back().load(weights, {names.up, "", inner, e * inner, experts * inner}, 0);
    down_.emplace_back(inner, hidden, arena).take(format);
    down_.back().load_transposed(weights, names.down, e * inner, experts * inner);
  }
  to_float32(weights.get(names.bias, {hidden}), 0, hidden, bias_.data());
}

void Experts::run(View<const float> x, View<float> y, View<float> inner, View<float> scratch,
                  Activation activation) const {
  const size_t hidden = bias_.size(), stride = hidden_stride();
  const View<float> gathered = scratch.slice_cols(0, hidden), out = scratch.slice_cols(stride, hidden),
                    sums = scratch.slice_cols(2 * stride, hidden),
                    shares = scratch.slice_cols(3 * stride, router_.out_features());
  router_.run(x, shares.slice_rows(0, x.rows));
  for (size_t row = 0; row < x.rows; ++row) {
    choose(shares.row(row), router_.out_features(), top_);
    std::copy_n(bias_.data(), hidden, sums.row(row));
  }
  // Expert by expert, so that every token adds up in the same order, whoever its neighbours are.
  for (size_t e = 0; e < up_.size(); ++e) {
    size_t count = 0;
    for (size_t row = 0; row < x.rows; ++row)
      if (shares.row(row)[e] != 0) std::copy_n(x.row(row), hidden, gathered.row(count++));
    if (count == 0) continue;
    View<float> middle = inner.slice_rows(0, count);
    middle.cols = up_[e].out_features();
    up_[e].run(gathered.slice_rows(0, count), middle, activation);
    down_[e].run(middle, out.slice_rows(0, count));
    size_t at = 0;
    for (size_t row = 0; row < x.rows; ++row)
      if (shares.row(row)[e] != 0) kernels::add_scaled(out.row(at++), shares.row(row)[e], sums.row(row), hidden);
  }
  for (size_t row = 0; row < x.rows; ++row) kernels::add(sums.row(row), y.row(row), hidden);
}

}  // namespace wde
