// What a model can be asked for, as its files say, and the sentence for a task that it cannot answer.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/model_files.h"
#include "loader/sentence_transformers.h"
#include "model/model.h"

namespace wde {

// The user says how the tokens' vectors become the text's.
inline bool says_pooling(const EngineArgs& args) {
  return args.get("pooling") != "auto" && !args.get("pooling").empty();
}

class ModelTasks {
 public:
  // `pools`: somebody says how texts become vectors, beside modules.json (--pooling, LLM2Vec's file).
  ModelTasks(const ModelSpec& spec, const SentenceTransformersSpec& files, const ConfigView& config, bool pools);

  const std::string& made_for() const { return made_for_; }
  std::vector<std::string> names() const;  // of the tasks that it answers
  // Throws UsageError that says what the model is, why it has no such task, and what fits.
  const std::string& workflow(const std::string& task) const;

 private:
  std::string find_purpose(const ConfigView& config, const SentenceTransformersSpec& files, bool pools) const;
  bool answers(const std::string& task, const ConfigView& config, const SentenceTransformersSpec& files,
               bool pools) const;
  std::string reason(const std::string& task) const;  // why it cannot

  std::string directory_, architecture_, code_, made_for_;
  size_t labels_ = 0;
  std::map<std::string, std::string> workflows_, unsaid_;  // unsaid_: heads that a config may have without naming them
};

}  // namespace wde
