#include "workflow/workflow.h"

namespace wde {

Registry<Workflow>& workflows() {
  static Registry<Workflow> registry("workflow");
  return registry;
}

std::vector<std::pair<std::string, std::string>> Workflow::modules() const {
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& [seam, name] : {std::pair{"input_processor", &input_processor},
                                   {"tokenizer", &tokenizer},
                                   {"scheduler", &scheduler},
                                   {"model_input_builder", &model_input_builder},
                                   {"attn_backend", &attn_backend},
                                   {"executor", &executor},
                                   {"worker", &worker},
                                   {"runner", &runner},
                                   {"output_processor", &output_processor}}) {
    if (!name->empty()) out.emplace_back(seam, *name);
  }
  return out;
}

}  // namespace wde
