// What a model's files say that it is.
#include "engine/model_files.h"
#include "engine/modules.h"
#include "engine/tasks.h"

namespace wde {

ModelSummary inspect_model(const EngineArgs& args) {
  load_plugins(args);
  const ModelFiles files = find_model_files(args);
  const ConfigView config = files.read_config();
  const ModelSpec& spec = ModelRegistry::instance().find(config);
  const SentenceTransformersSpec st = read_sentence_transformers(files.directory, files.vector_size(config));
  const ModelTasks tasks(spec, st, config, says_pooling(args) || Llm2Vec::read(files, config).has_value());
  ModelSummary out;
  out.architecture = config_architecture(config).empty() ? spec.architectures.front() : config_architecture(config);
  out.model_type = config_model_type(config);
  out.default_task = tasks.made_for();
  out.tasks = tasks.names();
  const auto labels = config.object_if_exists("id2label");
  if (labels && (out.default_task == "classify" || out.default_task == "token_classify" || out.default_task == "score"))
    out.labels = config_labels(config, labels->keys().size());
  return out;
}

}  // namespace wde
