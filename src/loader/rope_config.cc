#include "loader/rope_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>

#include <nlohmann/json.hpp>

#include "loader/json_file.h"
#include "wde/result.h"

namespace wde {
namespace {

constexpr std::array<std::string_view, 7> kRopeTypes = {"default", "linear", "dynamic", "ntk",
                                                        "yarn",    "llama3", "longrope"};
constexpr size_t kMaxFactors = 4096;

double positive(const ConfigView& config, std::string_view key, double value) {
  if (!(value > 0) || !std::isfinite(value))
    throw LoadError(fmt::format("{}: \"{}\" must be above 0, found {}", config.file(), key, value));
  return value;
}

std::vector<double> factors(const ConfigView& config, std::string_view key) {
  const auto found = config.json().find(key);
  const auto usable = [&] {
    return found != config.json().end() && found->is_array() && !found->empty() && found->size() <= kMaxFactors &&
           std::all_of(found->begin(), found->end(),
                       [](const nlohmann::json& f) { return f.is_number() && f.get<double>() > 0; });
  };
  if (!usable()) {
    throw LoadError(fmt::format("{}: \"{}\" must be a list of numbers above 0, found {}", config.file(), key,
                                found == config.json().end() ? "nothing" : describe(*found)));
  }
  return found->get<std::vector<double>>();
}

}  // namespace

RopeConfig config_rope(const ConfigView& config, std::string_view layer_type, double theta) {
  RopeConfig rope;
  std::optional<ConfigView> source = config.object_if_exists(config.first_of({"rope_parameters", "rope_scaling"}));
  if (source && !layer_type.empty()) {
    if (std::optional<ConfigView> of_layer = source->object_if_exists(layer_type)) source = of_layer;
  }
  if (source && (source->has("full_attention") || source->has("sliding_attention"))) {
    throw LoadError(fmt::format(
        "{}: expected rotary embeddings with one set of parameters for all layers, found one set a layer type",
        config.file()));
  }
  const ConfigView& s = source ? *source : config;
  if (source) rope.type = source->string_or(source->first_of({"rope_type", "type"}), rope.type);
  if (rope.type == "su") rope.type = "longrope";  // Phi-3's first files
  if (std::find(kRopeTypes.begin(), kRopeTypes.end(), rope.type) == kRopeTypes.end()) {
    throw LoadError(fmt::format("{}: the rotary embedding's type is {}, expected one of {}", s.file(), quote(rope.type),
                                fmt::join(kRopeTypes, ", ")));
  }
  const ConfigView& holder = source && source->has("rope_theta") ? *source : config;
  rope.theta = positive(config, "rope_theta", holder.number_or("rope_theta", theta));
  const ConfigView& partial = source && source->has("partial_rotary_factor") ? *source : config;
  rope.partial_rotary_factor =
      positive(config, "partial_rotary_factor", partial.number_or("partial_rotary_factor", 1.0));
  const double positions = static_cast<double>(
      config.integer_or(config.first_of({"max_position_embeddings", "n_positions"}), 1 << 24, 1, 1 << 24));
  const ConfigView& original = source && source->has("original_max_position_embeddings") ? *source : config;
  rope.original_positions = positive(config, "original_max_position_embeddings",
                                     original.number_or("original_max_position_embeddings", positions));
  if (rope.type == "default") return rope;
  if (s.has("mixed_b")) {  // Alibaba's GTE: another stretch for every pair of dimensions
    throw LoadError(fmt::format("{}: \"mixed_b\" of the rotary embedding is not supported", s.file()));
  }
  if (rope.type == "longrope") {
    rope.short_factor = factors(s, "short_factor");
    rope.long_factor = factors(s, "long_factor");
    rope.factor = s.number_or("factor", positions / rope.original_positions);
  } else {
    rope.factor = positive(s, "factor", s.number("factor"));
  }
  rope.attention_factor = s.number_or("attention_factor", 0.0);
  if (rope.type == "yarn") {
    rope.beta_fast = positive(s, "beta_fast", s.number_or("beta_fast", 32.0));
    rope.beta_slow = positive(s, "beta_slow", s.number_or("beta_slow", 1.0));
    rope.mscale = s.number_or("mscale", 0.0);
    rope.mscale_all_dim = s.number_or("mscale_all_dim", 0.0);
    rope.truncate = s.boolean_or("truncate", true);
  } else if (rope.type == "llama3") {
    rope.low_freq_factor = positive(s, "low_freq_factor", s.number("low_freq_factor"));
    rope.high_freq_factor = positive(s, "high_freq_factor", s.number("high_freq_factor"));
    if (rope.low_freq_factor == rope.high_freq_factor) {
      throw LoadError(fmt::format("{}: \"low_freq_factor\" and \"high_freq_factor\" must differ, both are {}", s.file(),
                                  rope.low_freq_factor));
    }
  }
  return rope;
}

}  // namespace wde
