// RelativeBias: T5's bias on the attention's logits, a learned number for every head and bucket of distances (Raffel et
// al. 2020; transformers, T5Attention._relative_position_bucket, bidirectional).
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "attention/attn_backend.h"
#include "loader/weights.h"
#include "wde/result.h"

namespace wde {

class RelativeBias {
 public:
  RelativeBias() = default;
  // The tensor `name` [buckets, heads].
  RelativeBias(Weights& weights, const std::string& name, size_t buckets, size_t max_distance, size_t heads)
      : buckets_(buckets), max_distance_(max_distance), heads_(heads) {
    if (buckets < 4 || max_distance <= buckets / 4) {
      throw LoadError(
          fmt::format("{}: expected 4 buckets or more and distances beyond a quarter of their number, found "
                      "{} buckets for distances up to {}",
                      name, buckets, max_distance));
    }
    const TensorView& table = weights.get(name, {buckets, heads});
    table_.resize(buckets * heads);
    to_float32(table, 0, table_.size(), table_.data());
  }

  // Makes the bias of every distance in sequences of up to max_seqlen tokens.
  void reserve(size_t max_seqlen) {
    constexpr size_t kMostFloats = size_t{1} << 27;  // 512 MB
    const size_t width = 2 * max_seqlen - 1;
    if (width > kMostFloats / heads_) {
      throw LoadError(
          fmt::format("the relative positions of {} heads in texts of {} tokens would take {} MB: give a "
                      "--max-length of at most {}",
                      heads_, max_seqlen, width * heads_ * sizeof(float) >> 20, kMostFloats / heads_ / 2));
    }
    span_ = max_seqlen;
    bias_.resize(heads_ * width);
    for (size_t i = 0; i < width; ++i) {
      const size_t b = bucket(static_cast<int64_t>(i) - static_cast<int64_t>(span_ - 1));
      for (size_t h = 0; h < heads_; ++h) bias_[h * width + i] = table_[b * heads_ + h];
    }
  }
  void set(AttentionMask& mask) const {
    mask.relative_bias = bias_.data();
    mask.relative_span = span_;
  }

 private:
  // Of key position minus query position. Half of the buckets for each direction; of those, half are exact distances
  // and the others grow logarithmically up to max_distance.
  size_t bucket(int64_t distance) const {
    const size_t half = buckets_ / 2, exact = half / 2;
    const size_t base = distance > 0 ? half : 0;
    const auto n = static_cast<size_t>(std::abs(distance));
    if (n < exact) return base + n;
    const float ratio = std::log(static_cast<float>(n) / static_cast<float>(exact)) /
                        static_cast<float>(std::log(static_cast<double>(max_distance_) / static_cast<double>(exact)));
    return base + std::min(half - 1, exact + static_cast<size_t>(ratio * static_cast<float>(half - exact)));
  }

  std::vector<float> table_, bias_;
  size_t buckets_ = 0, max_distance_ = 0, heads_ = 0, span_ = 0;
};

}  // namespace wde
