// LoRA adapters, merged into the weights when a model is loaded: those that PEFT writes, and those of
// jina-embeddings-v3, whose checkpoint holds one a task. What the files ask for beyond W + s B A is refused.
#pragma once

#include <string>
#include <vector>

#include "loader/config.h"
#include "loader/weights.h"

namespace wde {

// The directory has an adapter_config.json.
bool has_adapter(const std::string& directory);
// Its base_model_name_or_path; "" if it names none. Throws LoadError.
std::string adapter_base(const std::string& directory);
// adapter_model.safetensors (or .bin) into the weights of its base: W + alpha / r B A, or alpha / sqrt(r) for rsLoRA.
// Throws LoadError: a file is missing, a kind of adapter or a setting that is not this, a tensor without its base's.
void merge_adapter(const std::string& directory, Weights& weights);

// jina-embeddings-v3: config.json's lora_adaptations, in the order of the tensors; empty for other models.
std::vector<std::string> lora_tasks(const ConfigView& config);
// Its "<name>.parametrizations.weight.original" become "<name>.weight", with the task's adapter merged; "": with none.
// Throws LoadError for a task that the model does not have. Does nothing where there are no parametrizations.
void merge_lora_task(const ConfigView& config, const std::string& task, Weights& weights);

}  // namespace wde
