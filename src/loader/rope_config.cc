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

// The objects of the file that speak of the wanted layers; what an earlier one says goes first.
class Parameters {
 public:
  Parameters(const ConfigView& config, const RopeKeys& keys) : config_(config) {
    const auto scaling = config.object_if_exists("rope_scaling"),
               parameters = config.object_if_exists("rope_parameters");
    const bool scales = scaling && !scaling->keys().empty();
    if (!keys.layer_type.empty()) {
      if (scales && keys.scaled) {
        if (!scaling->has("rope_type"))
          throw LoadError(fmt::format("{}: expected \"rope_type\" in \"rope_scaling\", found none", config.file()));
        found_.push_back(*scaling);
      }
      if (const auto own = parameters ? parameters->object_if_exists(keys.layer_type) : std::nullopt)
        found_.push_back(*own);
      return;
    }
    if (scales || parameters) found_.push_back(scales ? *scaling : *parameters);
    if (!found_.empty() && (found_[0].has("full_attention") || found_[0].has("sliding_attention"))) {
      throw LoadError(
          fmt::format("{}: expected rotary embeddings with one set of parameters for all layers, found one set a layer "
                      "type",
                      config.file()));
    }
  }

  // Who has the key; nullptr: nobody.
  const ConfigView* of(std::string_view key) const {
    const auto found = std::find_if(found_.begin(), found_.end(), [&](const ConfigView& v) { return v.has(key); });
    return found == found_.end() ? nullptr : &*found;
  }
  // Who has it, else who should: for the error.
  const ConfigView& holder(std::string_view key) const {
    const ConfigView* found = of(key);
    return found != nullptr ? *found : found_.empty() ? config_ : found_.front();
  }
  std::string type() const {
    const std::string_view key = of("rope_type") != nullptr ? "rope_type" : "type";
    std::string type = of(key) != nullptr ? of(key)->string(key) : "default";
    if (type == "su") type = "longrope";  // Phi-3's first files
    if (std::find(kRopeTypes.begin(), kRopeTypes.end(), type) == kRopeTypes.end()) {
      throw LoadError(fmt::format("{}: the rotary embedding's type is {}, expected one of {}", config_.file(),
                                  quote(type), fmt::join(kRopeTypes, ", ")));
    }
    return type;
  }

 private:
  const ConfigView& config_;
  std::vector<ConfigView> found_;
};

}  // namespace

RopeConfig config_rope(const ConfigView& config, const RopeKeys& keys) {
  RopeConfig rope;
  const Parameters parameters(config, keys);
  rope.type = parameters.type();
  const auto has = [&](const char* key) { return parameters.of(key) != nullptr; };
  const auto number_or = [&](const char* key, double fallback) {
    return has(key) ? parameters.of(key)->number(key) : fallback;
  };
  const auto require = [&](const char* key) { return parameters.holder(key).number(key); };
  rope.theta =
      positive(config, "rope_theta", number_or("rope_theta", config.number_or(keys.theta, keys.default_theta)));
  if (number_or("partial_rotary_factor", config.number_or("partial_rotary_factor", 1.0)) != 1.0) {
    throw LoadError(
        fmt::format("{}: \"partial_rotary_factor\" must be 1 in this architecture, heads that turn in part are not "
                    "supported",
                    config.file()));
  }
  const double positions = static_cast<double>(
      config.integer_or(config.first_of({"max_position_embeddings", "n_positions"}), 1 << 24, 1, 1 << 24));
  rope.original_positions = positions;
  if (rope.type == "yarn" || rope.type == "llama3" || rope.type == "longrope") {
    // Beside the parameters it goes before what stands in them, as in Phi-3's files.
    constexpr const char* kKey = "original_max_position_embeddings";
    const bool beside = keys.layer_type.empty() && config.has(kKey);
    rope.original_positions = positive(config, kKey, beside ? config.number(kKey) : number_or(kKey, positions));
  }
  if (rope.type == "default") return rope;
  if (has("mixed_b")) {  // Alibaba's GTE: another stretch for every pair of dimensions
    throw LoadError(fmt::format("{}: \"mixed_b\" of the rotary embedding is not supported", config.file()));
  }
  if (rope.type == "longrope") {
    rope.short_factor = factors(parameters.holder("short_factor"), "short_factor");
    rope.long_factor = factors(parameters.holder("long_factor"), "long_factor");
    rope.factor = number_or("factor", positions / rope.original_positions);
  } else {
    rope.factor = positive(config, "factor", require("factor"));
  }
  if (rope.type == "longrope" || rope.type == "yarn") rope.attention_factor = number_or("attention_factor", 0.0);
  if (rope.type == "yarn") {
    rope.beta_fast = positive(config, "beta_fast", number_or("beta_fast", 32.0));
    rope.beta_slow = positive(config, "beta_slow", number_or("beta_slow", 1.0));
    rope.mscale = number_or("mscale", 0.0);
    rope.mscale_all_dim = number_or("mscale_all_dim", 0.0);
    rope.truncate = parameters.holder("truncate").boolean_or("truncate", true);
  } else if (rope.type == "llama3") {
    rope.low_freq_factor = positive(config, "low_freq_factor", require("low_freq_factor"));
    rope.high_freq_factor = positive(config, "high_freq_factor", require("high_freq_factor"));
    if (rope.low_freq_factor == rope.high_freq_factor) {
      throw LoadError(fmt::format("{}: \"low_freq_factor\" and \"high_freq_factor\" must differ, both are {}",
                                  config.file(), rope.low_freq_factor));
    }
  }
  return rope;
}

}  // namespace wde
