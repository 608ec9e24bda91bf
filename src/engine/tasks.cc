#include "engine/tasks.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "loader/json_file.h"
#include "wde/result.h"

namespace wde {
namespace {

struct TaskEntry {
  std::string_view task, command, model;  // what a model is called that was made for the task
};
constexpr std::array<TaskEntry, 9> kTasks = {{{"embed", "wde embed", "an embedder"},
                                              {"score", "wde score", "a reranker"},
                                              {"classify", "wde classify", "a classifier"},
                                              {"token_classify", "wde token-classify", "a classifier of tokens"},
                                              {"sparse", "wde sparse", "a sparse encoder"},
                                              {"multi_vector", "wde multi-vector", "a late-interaction model"},
                                              {"all", "wde embed --all", "an embedder"},
                                              {"token_embed", "wde hidden", "a transformer"},
                                              {"tokenize", "wde tokenize", "a tokenizer"}}};

const TaskEntry* entry_of(std::string_view task) {
  const auto* const found =
      std::find_if(kTasks.begin(), kTasks.end(), [&](const TaskEntry& entry) { return entry.task == task; });
  return found == kTasks.end() ? nullptr : found;
}

// Code of its own that a config names; "" if it names none.
std::string own_code(const ConfigView& config) {
  const auto code = config.object_if_exists("auto_map");
  if (!code) return "";
  for (const auto& [key, value] : code->json().items()) {
    if (value.is_string()) return value.get<std::string>();
  }
  return "";
}

// Language models without sentence-transformers' files that are known rerankers: find_score_tokens() has their tokens.
bool is_language_reranker(const ConfigView& config) {
  const std::string type = config_model_type(config);
  return config_architecture(config).ends_with("ForCausalLM") && (type == "qwen3" || type == "gemma") &&
         own_code(config).empty();
}

// 0: the config does not say.
size_t label_count(const ConfigView& config) {
  const auto labels = config.object_if_exists("id2label");
  return labels ? labels->keys().size() : static_cast<size_t>(config.integer_or("num_labels", 0, 1, 1 << 20));
}

bool has_m3(const SentenceTransformersSpec& files) {
  return file_exists(join_path(files.transformer_directory, "sparse_linear.pt"));
}

}  // namespace

ModelTasks::ModelTasks(const ModelSpec& spec, const SentenceTransformersSpec& files, const ConfigView& config,
                       bool pools)
    : directory_(files.transformer_directory),
      architecture_(config_architecture(config)),
      code_(own_code(config)),
      labels_(label_count(config)) {
  const bool unnamed = architecture_.empty();
  if (unnamed) architecture_ = spec.architectures.front();
  made_for_ = find_purpose(config, files, pools);
  for (const auto& [task, workflow] : workflows_of(spec)) {
    if (answers(task, config, files, pools)) {
      workflows_.emplace(task, workflow);
    } else if (unnamed && !files.embeds && spec.heads.contains(task)) {
      unsaid_.emplace(task, workflow);
    }
  }
  if (files.late_interaction) workflows_.emplace("score", "score");  // by MaxSim
}

std::string ModelTasks::find_purpose(const ConfigView& config, const SentenceTransformersSpec& files,
                                     bool pools) const {
  if (files.late_interaction) return "multi_vector";
  if (files.logit_score) return "score";
  if (files.splade) return "sparse";
  if (files.embeds || pools) return "embed";
  if (architecture_.ends_with("ForSequenceClassification")) return labels_ == 1 ? "score" : "classify";
  if (architecture_.ends_with("ForTokenClassification")) return "token_classify";
  // Without modules.json it is either a SPLADE or was never trained to embed.
  if (architecture_.ends_with("ForMaskedLM") && !files.present) return "sparse";
  return is_language_reranker(config) ? "score" : "embed";
}

bool ModelTasks::answers(const std::string& task, const ConfigView& config, const SentenceTransformersSpec& files,
                         bool pools) const {
  const bool m3 = has_m3(files);
  // The body of a classifier or reranker has vectors as well, which nobody trained to mean anything.
  if (task == "embed") return made_for_ == "embed" || (pools && !files.late_interaction);
  if (task == "classify") return architecture_.ends_with("ForSequenceClassification");
  if (task == "score") {
    if (architecture_.ends_with("ForSequenceClassification")) return labels_ <= 1;
    return files.logit_score || (is_language_reranker(config) && !files.embeds);
  }
  if (task == "token_classify") return architecture_.ends_with("ForTokenClassification");
  if (task == "sparse") return architecture_.ends_with("ForMaskedLM") || files.splade || m3;
  if (task == "multi_vector") return m3 || files.late_interaction;
  if (task == "all") return m3;
  return true;
}

std::vector<std::string> ModelTasks::names() const {
  std::vector<std::string> out;
  for (const auto& [task, workflow] : workflows_) out.push_back(task);
  return out;
}

const std::string& ModelTasks::workflow(const std::string& task) const {
  const auto found = workflows_.find(task);
  if (found != workflows_.end()) return found->second;
  const auto unsaid = unsaid_.find(task);
  if (unsaid != unsaid_.end()) return unsaid->second;
  const TaskEntry* const purpose = entry_of(made_for_);
  std::vector<std::string> fitting;
  for (const auto& [name, workflow] : workflows_) {
    const TaskEntry* const entry = entry_of(name);
    fitting.push_back(entry == nullptr ? name : fmt::format("{} (`{}`)", name, entry->command));
  }
  const std::string why = reason(task);
  throw UsageError(fmt::format("{} is {} ({}) and has no task '{}'{}{}; it answers {}", directory_,
                               purpose == nullptr ? "a model" : purpose->model, architecture_, task,
                               why.empty() ? "" : ": ", why, fmt::join(fitting, ", ")));
}

std::string ModelTasks::reason(const std::string& task) const {
  if (task == "multi_vector")
    return "it has no vectors of tokens that are made to be compared: expected Stanford's HF_ColBERT, or a "
           "modules.json of PyLate or of a MultiVectorEncoder";
  if (task == "sparse") return "weights of words come from the head of a masked language model (…ForMaskedLM)";
  if (task == "embed") {
    if (made_for_ == "multi_vector") return "it gives a vector for every token and none of the whole text";
    if (made_for_ == "sparse")
      return "it gives weights of words and no dense vector (--pooling mean averages its hidden states instead)";
    return "nobody trained its hidden states to be vectors of texts (with --pooling they are taken anyway)";
  }
  if (task == "score" && made_for_ == "classify")
    return fmt::format("its head gives {} classes, and a score is one number", labels_);
  if (task == "score" && architecture_.ends_with("ForCausalLM") && made_for_ == "embed") {
    if (!code_.empty())
      return fmt::format("code of its own ({}) says how it scores, and that is never run", quote(code_));
    return "a language model scores where a LogitScore module in modules.json says by which tokens";
  }
  return "";
}

}  // namespace wde
