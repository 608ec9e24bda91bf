#include "workflow/workflow.h"

namespace wde {

Registry<Workflow>& workflows() {
  static Registry<Workflow> registry("workflow");
  return registry;
}

namespace {
constexpr std::pair<const char*, std::string Workflow::*> kSeams[] = {
    {"input_processor", &Workflow::input_processor},
    {"tokenizer", &Workflow::tokenizer},
    {"scheduler", &Workflow::scheduler},
    {"model_input_builder", &Workflow::model_input_builder},
    {"attn_backend", &Workflow::attn_backend},
    {"executor", &Workflow::executor},
    {"worker", &Workflow::worker},
    {"runner", &Workflow::runner},
    {"output_processor", &Workflow::output_processor},
};
}  // namespace

std::vector<std::pair<std::string, std::string>> Workflow::modules() const {
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& [name, field] : kSeams) {
    if (!(this->*field).empty()) out.emplace_back(name, this->*field);
  }
  return out;
}

std::string* Workflow::seam(std::string_view name) {
  for (const auto& [known, field] : kSeams) {
    if (known == name) return &(this->*field);
  }
  return nullptr;
}

}  // namespace wde
