#include "loader/hub/select.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "loader/foreign_files.h"
#include "loader/hub/names.h"
#include "loader/json_file.h"
#include "wde/result.h"

namespace wde::hub {
namespace {

// In the root and in the folder of every module.
constexpr std::array<std::string_view, 19> kSmallFiles = {
    "config.json",
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
    "config_sentence_transformers.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "adapter_config.json",
    "llm2vec_config.json",
    "preprocessor_config.json",
    "artifact.metadata",
    "chat_template.jinja",
    "chat_template.json",
};
// Where there is no tokenizer.json.
constexpr std::array<std::string_view, 3> kVocabularyFiles = {"vocab.txt", "vocab.json", "merges.txt"};
// Linear layers of their own beside the weights (BGE-M3).
constexpr std::array<std::string_view, 2> kHeads = {"colbert_linear.pt", "sparse_linear.pt"};
// The first of a line that is there is taken.
struct WeightFile {
  std::string_view name;
  bool is_index;
};
constexpr std::array kWeights = {
    WeightFile{"model.safetensors", false}, WeightFile{"model.safetensors.index.json", true},
    WeightFile{"pytorch_model.bin", false}, WeightFile{"pytorch_model.bin.index.json", true}};
constexpr std::array kAdapterWeights = {WeightFile{"adapter_model.safetensors", false},
                                        WeightFile{"adapter_model.bin", false}};
// Modules that cannot be without a config.json; the transformer's is looked for by itself.
constexpr std::array<std::string_view, 4> kConfiguredModules = {"Pooling", "SpladePooling", "Dense", "LayerNorm"};

constexpr size_t kMaxListed = 12;

std::string in_folder(const std::string& folder, std::string_view name) {
  return folder.empty() ? std::string(name) : folder + "/" + std::string(name);
}

struct Module {
  std::string folder;
  std::string type;
};

// Only what the selection needs; the loader checks the rest when it loads.
std::vector<Module> modules_of(const nlohmann::json& json, const std::string& what) {
  std::vector<Module> modules;
  if (!json.is_array()) return modules;
  for (const nlohmann::json& item : json) {
    Module module;
    if (item.is_object()) {
      if (const auto path = item.find("path"); path != item.end() && path->is_string()) module.folder = *path;
      if (const auto type = item.find("type"); type != item.end() && type->is_string()) module.type = *type;
    }
    while (module.folder.ends_with('/')) module.folder.pop_back();
    if (module.folder == ".") module.folder.clear();  // model2vec
    if (!module.folder.empty() && !is_safe_path(module.folder)) {
      throw LoadError(
          fmt::format("{}: modules.json: expected folders inside the model, found {}", what, quote(module.folder)));
    }
    module.type.erase(0, module.type.rfind('.') + 1);
    modules.push_back(std::move(module));
  }
  return modules;
}

std::set<std::string> shards_of(const nlohmann::json& index, const std::string& folder, const std::string& file,
                                const std::string& what) {
  const auto map = index.is_object() ? index.find("weight_map") : index.end();
  if (!index.is_object() || map == index.end() || !map->is_object()) {
    throw LoadError(fmt::format("{}: {}: expected an object \"weight_map\", found none", what, file));
  }
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : map->items()) {
    const std::string name = shard.is_string() ? shard.get<std::string>() : "";
    if (name.find('/') != std::string::npos || !is_safe_path(name)) {
      throw LoadError(fmt::format("{}: {}: expected names of files in the same folder, found {}", what, file,
                                  shard.is_string() ? quote(name) : describe(shard)));
    }
    shards.insert(in_folder(folder, name));
  }
  return shards;
}

class Selector {
 public:
  Selector(const std::set<std::string>& names, const ReadLocal& read_local, const std::string& what)
      : names_(names), read_local_(read_local), what_(what) {}

  Selection run() {
    take_small("");
    std::vector<std::string> folders = {""};
    if (names_.contains("modules.json")) {
      take("modules.json");
      const auto json = read_local_("modules.json");
      if (!json) return unfinished();
      folders.clear();
      for (const Module& module : modules_of(*json, what_)) folders.push_back(module.folder);
    }
    for (const std::string& folder : folders) take_small(folder);
    for (const std::string& folder : folders) take_weights(folder, kWeights);
    for (const std::string& folder : folders) take_weights(folder, kAdapterWeights);
    for (const std::string_view head : kHeads) take(std::string(head));
    if (!complete_) return unfinished();
    require_model();
    return std::move(selection_);
  }

 private:
  Selection unfinished() {
    selection_.final = false;
    return std::move(selection_);
  }

  bool take(const std::string& name) {
    if (!names_.contains(name)) return false;
    if (taken_.insert(name).second) selection_.files.push_back(name);
    return true;
  }

  void take_small(const std::string& folder) {
    for (const std::string_view name : kSmallFiles) take(in_folder(folder, name));
    if (names_.contains(in_folder(folder, "tokenizer.json"))) return;
    for (const std::string_view name : kVocabularyFiles) take(in_folder(folder, name));
  }

  template <class Files>
  void take_weights(const std::string& folder, const Files& files) {
    for (const WeightFile& file : files) {
      const std::string name = in_folder(folder, file.name);
      if (!names_.contains(name)) continue;
      has_weights_ = true;
      if (!file.is_index) {
        take(name);
        return;
      }
      take(name);
      const auto index = read_local_(name);
      if (!index) {
        complete_ = false;
        return;
      }
      for (const std::string& shard : shards_of(*index, folder, name, what_)) {
        if (!take(shard)) {
          throw LoadError(
              fmt::format("{}: {} names the file {}, which the repository does not have", what_, name, quote(shard)));
        }
      }
      return;
    }
  }

  void require_model() const {
    const auto ends_with_any = [](const std::string& name, std::initializer_list<std::string_view> endings) {
      return std::any_of(endings.begin(), endings.end(),
                         [&](std::string_view ending) { return name.ends_with(ending); });
    };
    std::vector<std::string> others;
    for (const std::string& name : names_) {
      if (others.size() < kMaxListed && ends_with_any(name, {".onnx", ".gguf", ".h5", ".msgpack", ".safetensors",
                                                             ".bin", ".pt", ".pth", ".ckpt", ".npz", ".tflite"})) {
        others.push_back(quote(name));
      }
    }
    const bool has_config =
        taken_.contains("config.json") || taken_.contains("modules.json") || taken_.contains("adapter_config.json");
    // A repository of a tokenizer alone serves `wde tokenize`.
    if (has_config && (has_weights_ || others.empty())) return require_tokenizer();
    throw LoadError(fmt::format("{}: expected a model with config.json and model.safetensors, found {}{}{}", what_,
                                has_config ? "no weights in a format that is read here" : "no config.json",
                                others.empty() ? "" : fmt::format("; of weights it has {}", fmt::join(others, ", ")),
                                advice_on_formats(names_)));
  }

  // Before gigabytes are loaded for nothing.
  void require_tokenizer() const {
    if (taken_.contains("adapter_config.json")) return;  // the base model's
    for (const std::string& name : taken_) {
      if (name.ends_with("tokenizer.json") || name.ends_with("vocab.txt") || name.ends_with("merges.txt")) return;
    }
    for (const std::string& folder : {std::string(), std::string("0_Transformer")}) {
      const std::string found = foreign_tokenizer(names_, folder);
      if (found.empty()) continue;
      throw LoadError(fmt::format(
          "{}: it has no tokenizer.json, and {} must be converted first: python3 -c \"from transformers import "
          "AutoTokenizer; AutoTokenizer.from_pretrained('{}').save_pretrained('DIRECTORY')\" writes one, for "
          "a directory with the model's other files",
          what_, quote(found), what_.substr(0, what_.find('@'))));
    }
  }

  const std::set<std::string>& names_;
  const ReadLocal& read_local_;
  const std::string& what_;
  Selection selection_;
  std::set<std::string> taken_;
  bool has_weights_ = false;
  bool complete_ = true;
};

}  // namespace

Selection select_files(const std::set<std::string>& names, const ReadLocal& read_local, const std::string& what) {
  return Selector(names, read_local, what).run();
}

std::string find_gap(const std::set<std::string>& names, const ReadLocal& read_local) {
  std::string transformer;
  bool is_table = false;  // without a config.json
  if (names.contains("modules.json")) {
    const auto json = read_local("modules.json");
    if (!json) return "modules.json";
    const std::vector<Module> modules = modules_of(*json, "modules.json");
    if (!modules.empty()) {
      transformer = modules.front().folder;
      is_table = modules.front().type == "StaticEmbedding";
    }
    for (const Module& module : modules) {
      const bool configured =
          std::find(kConfiguredModules.begin(), kConfiguredModules.end(), module.type) != kConfiguredModules.end();
      std::string config = in_folder(module.folder, "config.json");
      if (configured && !names.contains(config)) return config;
    }
  }
  const auto has = [&](std::string_view name) { return names.contains(in_folder(transformer, name)); };
  if (!is_table && !has("config.json") && !has("adapter_config.json")) return "config.json";
  if (!has("tokenizer.json") && !has("vocab.txt") && !(has("vocab.json") && has("merges.txt"))) return "tokenizer.json";
  const auto exists = [&](const WeightFile& file) { return has(file.name); };
  if (std::none_of(kWeights.begin(), kWeights.end(), exists) &&
      std::none_of(kAdapterWeights.begin(), kAdapterWeights.end(), exists)) {
    return "model.safetensors";
  }
  return "";
}

}  // namespace wde::hub
