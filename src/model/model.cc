#include "model/model.h"

#include <fmt/format.h>

#include <algorithm>

#include "loader/json_file.h"
#include "loader/late_interaction.h"
#include "model/repository_code.h"

namespace wde {

namespace {

// Levenshtein's distance between two names.
size_t edits(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row.back();
}

// Up to three names that are not far from this one.
std::vector<std::string> nearest(const std::string& name, const std::vector<std::string>& known) {
  constexpr size_t kLongest = 128;  // a hostile name costs no time
  std::vector<std::pair<size_t, std::string>> found;
  if (name.empty() || name.size() > kLongest) return {};
  for (const std::string& other : known) {
    const size_t distance = edits(name, other);
    if (distance <= std::max<size_t>(3, name.size() / 3)) found.emplace_back(distance, other);
  }
  std::sort(found.begin(), found.end());
  std::vector<std::string> out;
  for (size_t i = 0; i < std::min<size_t>(3, found.size()); ++i) out.push_back(found[i].second);
  return out;
}

}  // namespace

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

bool ModelRegistry::replace(ModelSpec spec) {
  for (const auto& other : specs_) {
    std::erase_if(other->architectures, [&](const std::string& name) {
      return std::find(spec.architectures.begin(), spec.architectures.end(), name) != spec.architectures.end();
    });
    if (other->model_type == spec.model_type) other->model_type.clear();
  }
  return add(std::move(spec));
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
  // With code of its own it may be anything (a relative of the type with other mathematics). One that names ColBERT may
  // have any transformer inside.
  const std::string code = repository_code(config);
  if (architecture.empty() || code.empty() || is_stanford_colbert(config)) {
    for (const auto& spec : specs_) {
      if (!type.empty() && spec->model_type == type && !spec->architectures.empty()) return *spec;
    }
  }
  const std::vector<std::string> near = nearest(architecture, known);
  throw LoadError(
      fmt::format("{}: the architecture {} (model_type {}) is not supported{}{}; `wde models` lists what is",
                  config.file(), architecture.empty() ? "(none given)" : quote(architecture), quote(type),
                  code.empty() ? "" : fmt::format(", its code {} is not run", quote(code)),
                  near.empty() ? "" : fmt::format("; the nearest names are {}", join_names(near))));
}

std::map<std::string, std::string> workflows_of(const ModelSpec& spec) {
  if (!spec.workflows.empty()) return spec.workflows;
  std::map<std::string, std::string> out = {
      {"embed", "embed"}, {"token_embed", "token_embed"}, {"multi_vector", "multi_vector"}, {"tokenize", "tokenize"}};
  for (const auto& [task, head] : spec.heads) out[task] = task;
  return out;
}

std::vector<std::string> architecture_names(const std::vector<std::string>& families,
                                            const std::vector<std::string>& endings) {
  std::vector<std::string> out;
  for (const std::string& family : families) {
    for (const std::string& ending : endings) out.push_back(family + ending);
  }
  return out;
}

}  // namespace wde
