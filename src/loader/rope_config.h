// The rotary embedding's settings, from config.json of both generations of transformers.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "loader/config.h"

namespace wde {

struct RopeConfig {
  std::string type = "default";  // default, linear, dynamic, ntk, yarn, llama3, longrope
  double theta = 10000.0;
  double factor = 1.0;
  double partial_rotary_factor = 1.0;  // share of a head's dimensions that turn
  double original_positions = 0;       // what the model was trained for, before the scaling
  // yarn
  double beta_fast = 32.0, beta_slow = 1.0, mscale = 0.0, mscale_all_dim = 0.0;
  bool truncate = true;
  double attention_factor = 0.0;  // 0: by the formula
  // llama3
  double low_freq_factor = 1.0, high_freq_factor = 4.0;
  // longrope
  std::vector<double> short_factor, long_factor;
};

// Which of the file's keys are meant: rope_parameters (transformers 5), rope_scaling, and theta beside them.
struct RopeKeys {
  // "full_attention" or "sliding_attention": whose, where they differ (ModernBERT, Gemma 3). Empty: all layers turn
  // alike, and a file that tells layers apart is refused.
  std::string_view layer_type = {};
  std::string_view theta = "rope_theta";
  double default_theta = 10000.0;
  bool scaled = true;  // false: rope_scaling speaks of the other layers only (Gemma 3's local ones)
};

// Throws LoadError, also for a type that is not known and for heads that turn in part.
RopeConfig config_rope(const ConfigView& config, const RopeKeys& keys = {});

}  // namespace wde
