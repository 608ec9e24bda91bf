#include "model/model.h"

#include <fmt/format.h>

#include <algorithm>

namespace wde {

ModelRegistry& ModelRegistry::instance() {
  static ModelRegistry registry;
  return registry;
}

bool ModelRegistry::add(ModelSpec spec) {
  for (const auto& other : specs_) {
    if (other->model_type == spec.model_type)
      throw LoadError("the model type '" + spec.model_type + "' is registered twice");
    for (const std::string& name : spec.architectures) {
      if (std::find(other->architectures.begin(), other->architectures.end(), name) != other->architectures.end()) {
        throw LoadError("the architecture '" + name + "' is registered twice");
      }
    }
  }
  specs_.push_back(std::make_unique<ModelSpec>(std::move(spec)));
  return true;
}

const ModelSpec& ModelRegistry::find(const ConfigView& config) const {
  const std::string architecture = config_architecture(config), type = config_model_type(config);
  std::vector<std::string> known;
  for (const auto& spec : specs_) {
    for (const std::string& name : spec->architectures) {
      if (name == architecture) return *spec;
      known.push_back(name);
    }
  }
  // An architecture that is named but not known may be anything (a relative of the type with other mathematics): only a
  // config without one is taken by its type.
  if (architecture.empty()) {
    for (const auto& spec : specs_) {
      if (!type.empty() && spec->model_type == type) return *spec;
    }
  }
  std::sort(known.begin(), known.end());
  throw LoadError(fmt::format("{}: the architecture '{}' (model_type '{}') is not supported; supported: {}",
                              config.file(), architecture.empty() ? "(none given)" : architecture, type,
                              join_names(known)));
}

std::map<std::string, std::string> encoder_workflows() {
  return {{"embed", "embed"}, {"token_embed", "token_embed"}, {"tokenize", "tokenize"}};
}

}  // namespace wde
