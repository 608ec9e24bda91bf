#include "loader/module_entry.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "loader/json_file.h"
#include "wde/result.h"

namespace wde {
namespace {

struct ActivationEntry {
  std::string_view torch_name;  // the last component of torch.nn.modules.….Tanh
  std::string_view name;
};
constexpr std::array kActivations = {
    ActivationEntry{"Tanh", "tanh"}, ActivationEntry{"Identity", "identity"}, ActivationEntry{"ReLU", "relu"},
    ActivationEntry{"GELU", "gelu"}, ActivationEntry{"Sigmoid", "sigmoid"},   ActivationEntry{"SiLU", "silu"},
};

std::string_view last_component(std::string_view dotted) {
  const size_t dot = dotted.rfind('.');
  return dot == std::string_view::npos ? dotted : dotted.substr(dot + 1);
}

// A module's folder must lie in the model's directory.
bool stays_inside(std::string_view path) {
  if (path.starts_with('/') || path.find('\0') != std::string_view::npos) return false;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    if (path.substr(begin, end - begin) == "..") return false;
    begin = end + 1;
  }
  return true;
}

// `fallback`: of a file that does not say; but null is nothing that sentence-transformers writes or reads.
std::string read_activation(const ConfigView& config, std::string_view fallback) {
  constexpr std::string_view kKey = "activation_function";
  if (!config.json().contains(kKey)) return std::string(fallback);
  const std::string full = config.string(kKey);
  std::vector<std::string_view> known;
  for (const ActivationEntry& entry : kActivations) {
    if (full.starts_with("torch.nn.") && last_component(full) == entry.torch_name) return std::string(entry.name);
    known.push_back(entry.torch_name);
  }
  throw LoadError(fmt::format("{}: \"{}\" must be torch.nn's {}, found {}, which is not supported", config.file(), kKey,
                              fmt::join(known, ", "), quote(full)));
}

}  // namespace

std::string_view ModuleEntry::type() const { return last_component(full_type); }

std::string modules_file(const std::string& directory) { return join_path(directory, "modules.json"); }

std::vector<ModuleEntry> read_modules(const std::string& directory) {
  const std::string file = modules_file(directory);
  if (!file_exists(file)) return {};
  const nlohmann::json json = read_json_file(file);
  if (!json.is_array() || json.empty()) {
    throw LoadError(fmt::format("{}: expected a list of modules, found {}", file, describe(json)));
  }

  std::vector<ModuleEntry> modules;
  for (const nlohmann::json& item : json) {
    const auto text = [&](const char* key) -> const std::string& {
      if (!item.is_object()) {
        throw LoadError(
            fmt::format("{}: module {}: expected an object, found {}", file, modules.size(), describe(item)));
      }
      const auto found = item.find(key);
      if (found == item.end() || !found->is_string()) {
        throw LoadError(fmt::format("{}: module {}: \"{}\" must be a string, found {}", file, modules.size(), key,
                                    found == item.end() ? "nothing" : describe(*found)));
      }
      return found->get_ref<const std::string&>();
    };
    if (!stays_inside(text("path"))) {
      throw LoadError(fmt::format("{}: module {}: expected a \"path\" inside the model's directory, found {}", file,
                                  modules.size(), quote(text("path"))));
    }
    modules.push_back({text("type"), join_path(directory, text("path"))});
  }
  const std::string_view first = modules.front().type();
  constexpr std::array<std::string_view, 4> kFirst = {"Transformer", "MLMTransformer", "StaticEmbedding", "CLIPModel"};
  if (std::find(kFirst.begin(), kFirst.end(), first) == kFirst.end()) {
    throw LoadError(fmt::format("{}: module 0: expected one of {}, found {}", file, fmt::join(kFirst, ", "),
                                quote(modules.front().full_type)));
  }
  return modules;
}

ConfigView read_module_config(const ModuleEntry& module) {
  return ConfigView::read(join_path(module.directory, "config.json"));
}

void require_feature(const ConfigView& config, std::string_view feature) {
  for (const std::string_view key : {"module_input_name", "module_output_name"}) {
    const std::string name = config.string_or(key, feature);
    if (name != feature) {
      throw LoadError(fmt::format("{}: \"{}\" must be {}, found {}, which is not supported", config.file(), key,
                                  quote(feature), quote(name)));
    }
  }
}

size_t feature_count(const ConfigView& config, std::string_view key) {
  return static_cast<size_t>(config.integer(key, 1, kMaxFeatures));
}

void require_size(const ConfigView& config, std::string_view key, size_t expected, std::string_view what) {
  const size_t found = feature_count(config, key);
  if (found == expected) return;
  throw LoadError(fmt::format("{}: \"{}\" must be {}, {}, found {}", config.file(), key, expected, what, found));
}

DenseSpec read_dense(const ModuleEntry& module, size_t in_features, std::string_view feature) {
  const ConfigView config = read_module_config(module);
  require_feature(config, feature);
  require_size(config, "in_features", in_features, "what the module before gives");
  // What sentence-transformers and PyLate take for a missing key.
  const bool pylate = module.full_type.starts_with("pylate.");
  return {in_features,
          feature_count(config, "out_features"),
          config.boolean_or("bias", true),
          read_activation(config, pylate ? "identity" : "tanh"),
          module.directory,
          config.boolean_or("use_residual", false)};
}

}  // namespace wde
