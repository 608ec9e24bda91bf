// What a model's files say that it is.
#include <algorithm>

#include "engine/model_files.h"
#include "engine/modules.h"
#include "loader/json_file.h"

namespace wde {
namespace {

std::string default_task(const std::string& architecture, const SentenceTransformersSpec& st,
                         const ConfigView& config) {
  if (st.late_interaction) return "multi_vector";
  if (st.logit_score) return "score";
  if (st.splade) return "sparse";
  if (architecture.ends_with("ForSequenceClassification")) {
    const auto labels = config.object_if_exists("id2label");
    const size_t count =
        labels ? labels->keys().size() : static_cast<size_t>(config.integer_or("num_labels", 2, 1, 1 << 20));
    return count == 1 ? "score" : "classify";
  }
  if (architecture.ends_with("ForTokenClassification")) return "token_classify";
  return "embed";
}

}  // namespace

ModelSummary inspect_model(const EngineArgs& args) {
  load_plugins(args);
  const ModelFiles files = find_model_files(args);
  const std::string& directory = files.directory;
  const ConfigView config = files.read_config();
  const ModelSpec& spec = ModelRegistry::instance().find(config);
  const SentenceTransformersSpec st = read_sentence_transformers(directory, config_hidden_size(config));
  ModelSummary out;
  out.architecture = config_architecture(config).empty() ? spec.architectures.front() : config_architecture(config);
  out.model_type = config_model_type(config);
  out.default_task = default_task(out.architecture, st, config);
  const bool m3 = file_exists(join_path(st.transformer_directory, "sparse_linear.pt"));
  for (const auto& [task, workflow] : workflows_of(spec)) {
    const bool classifies = task == "classify" || task == "score";
    if (classifies && !out.architecture.ends_with("ForSequenceClassification") && task != out.default_task) continue;
    if (task == "token_classify" && !out.architecture.ends_with("ForTokenClassification")) continue;
    if (task == "sparse" && !out.architecture.ends_with("ForMaskedLM") && !m3) continue;
    if (task == "multi_vector" && !m3 && !st.late_interaction) continue;
    if (task == "all" && !m3) continue;
    if (task == "embed" && st.late_interaction) continue;
    out.tasks.push_back(task);
  }
  if (st.late_interaction) out.tasks.emplace_back("score");  // by MaxSim
  const auto labels = config.object_if_exists("id2label");
  if (labels && (out.default_task == "classify" || out.default_task == "token_classify" || out.default_task == "score"))
    out.labels = config_labels(config, labels->keys().size());
  return out;
}

}  // namespace wde
