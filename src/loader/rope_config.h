// The rotary embedding's settings, from config.json of both generations of transformers.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "loader/config.h"

namespace wde {

// Keys: rope_parameters (transformers 5; given a layer type in ModernBERT and Gemma 3) | rope_scaling and rope_theta.
struct RopeConfig {
  std::string type = "default";  // default, linear, dynamic, ntk, yarn, llama3, longrope
  double theta = 10000.0;
  double factor = 1.0;
  double partial_rotary_factor = 1.0;  // share of a head's dimensions that turn
  double original_positions = 0;       // original_max_position_embeddings | max_position_embeddings
  // yarn
  double beta_fast = 32.0, beta_slow = 1.0, mscale = 0.0, mscale_all_dim = 0.0;
  bool truncate = true;
  double attention_factor = 0.0;  // 0: by the formula
  // llama3
  double low_freq_factor = 1.0, high_freq_factor = 4.0;
  // longrope
  std::vector<double> short_factor, long_factor;
};

// `layer_type` ("full_attention", "sliding_attention"): whose, where they differ; without it such a file is refused.
// `theta`: where the file says nothing. Throws LoadError, also for a type that is not known.
RopeConfig config_rope(const ConfigView& config, std::string_view layer_type = {}, double theta = 10000.0);

}  // namespace wde
