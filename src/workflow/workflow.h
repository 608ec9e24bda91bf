// Workflow: the names of the modules that one task needs, seam by seam. Data only; one file a workflow.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/registry.h"

namespace wde {

struct Workflow {
  std::string help;
  std::string input_processor;
  std::string tokenizer;  // "auto": native where it knows the model's, else the crate
  std::string output_processor;
  // Empty in a workflow that needs no model.
  std::string scheduler;
  std::string model_input_builder;  // "auto": by what the model allows
  std::string attn_backend;
  std::string executor;
  std::string worker;
  std::string runner;

  bool needs_model() const { return !runner.empty(); }
  std::vector<std::pair<std::string, std::string>> modules() const;  // seam -> name, those that are set
  std::string* seam(std::string_view name);                          // nullptr: there is none of this name
};

Registry<Workflow>& workflows();

}  // namespace wde
