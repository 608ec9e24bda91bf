#include "loader/score_activation.h"

#include <fmt/format.h>

#include <charconv>

#include "loader/json_file.h"
#include "wde/result.h"

namespace wde {

ScoreActivation torch_score_activation(const ConfigView& config, std::string_view key) {
  const std::string full = config.string(key);
  const std::string last = full.substr(full.rfind('.') + 1);
  if (full.starts_with("torch.nn.")) {
    if (last == "Identity") return ScoreActivation::kNone;
    if (last == "Sigmoid") return ScoreActivation::kSigmoid;
    if (last == "Softmax") return ScoreActivation::kSoftmax;
  }
  throw LoadError(fmt::format("{}: \"{}\" must be torch.nn's Identity, Sigmoid or Softmax, found {}", config.file(),
                              key, quote(full)));
}

ScoreActivation config_score_activation(const ConfigView& config, size_t labels) {
  const auto own = config.object_if_exists("sentence_transformers");
  if (own && own->has("activation_fn")) return torch_score_activation(*own, "activation_fn");
  constexpr std::string_view kOldKey = "sbert_ce_default_activation_function";
  if (config.has(kOldKey)) return torch_score_activation(config, kOldKey);
  const ScoreActivation usual = labels == 1 ? ScoreActivation::kSigmoid : ScoreActivation::kSoftmax;
  const std::string problem = config.string_or("problem_type", "");
  if (problem == "regression") return ScoreActivation::kNone;
  if (problem == "multi_label_classification") return ScoreActivation::kSigmoid;
  if (problem == "single_label_classification" || problem.empty()) return usual;
  throw LoadError(fmt::format("{}: \"problem_type\" is {}, which is not known", config.file(), quote(problem)));
}

std::vector<std::string> config_labels(const ConfigView& config, size_t count) {
  std::vector<std::string> labels;
  for (size_t i = 0; i < count; ++i) labels.push_back(fmt::format("LABEL_{}", i));
  const auto names = config.object_if_exists("id2label");
  if (!names) return labels;
  for (const std::string& key : names->keys()) {
    size_t id = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id >= count) {
      throw LoadError(fmt::format("{}: \"id2label\" names the class {}, but the head has {} classes", config.file(),
                                  quote(key), count));
    }
    labels[id] = names->string(key);
  }
  return labels;
}

}  // namespace wde
