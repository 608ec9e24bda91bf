// Rope: rotary position embedding with every scaling of the frequencies in use. Formulas: transformers,
// modeling_rope_utils.py; the angles are computed in float32 as there, because at position 8,000 their rounding is
// seen.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/team.h"
#include "base/view.h"
#include "kernels/rotary.h"
#include "loader/rope_config.h"

namespace wde {

class Rope {
 public:
  // rotary_dim: dimensions of each head that turn, even. Throws LoadError for a scaling that is not known.
  Rope(const RopeConfig& config, size_t rotary_dim, kernels::RotaryPairs pairs = kernels::RotaryPairs::kHalves);

  // Makes the table for sequences of up to this many tokens; before the first apply().
  void reserve(size_t max_seqlen);

  // Whether a token turns by other angles in a longer sequence.
  bool depends_on_length() const { return config_.type == "dynamic" || config_.type == "longrope"; }

  // x: the batch's packed tokens, of which rows [rows.begin, rows.end) are turned; `heads` heads of head_dim from the
  // first column on. positions: of each token in its sequence.
  void apply(View<float> x, size_t heads, size_t head_dim, std::span<const int32_t> positions,
             std::span<const int32_t> cu_seqlens, Range rows) const noexcept;

 private:
  void angles(size_t position, size_t length, float* cosines, float* sines) const noexcept;
  bool stretched(size_t length) const;  // the frequencies depend on the sequence's length

  RopeConfig config_;
  size_t half_ = 0;
  kernels::RotaryPairs pairs_;
  float attention_factor_ = 1.0f;
  std::vector<float> frequencies_, long_frequencies_;  // [half]
  std::vector<float> table_;                           // [positions, 2, half]: cosines, sines
  size_t positions_ = 0;
};

}  // namespace wde
