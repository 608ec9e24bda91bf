#include "engine/model_files.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "loader/config.h"
#include "loader/json_file.h"
#include "loader/sentence_transformers.h"
#include "model/lora.h"
#include "model/model.h"
#include "wde/hub.h"
#include "wde/result.h"

namespace wde {
namespace {

constexpr size_t kMaxAdapters = 8;

bool has_weights(const std::string& directory) {
  constexpr const char* kNames[] = {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                                    "pytorch_model.bin.index.json"};
  return std::any_of(std::begin(kNames), std::end(kNames),
                     [&](const char* name) { return file_exists(join_path(directory, name)); });
}

bool same_directory(const std::string& a, const std::string& b) {
  std::error_code error;
  return std::filesystem::equivalent(a, b, error) && !error;
}

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> out;
  for (size_t begin = 0; begin < list.size();) {
    const size_t end = std::min(list.find(',', begin), list.size());
    if (end > begin) out.push_back(list.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

class Finder {
 public:
  explicit Finder(const EngineArgs& args) : args_(args) {}

  ModelFiles find() {
    const std::string& model = args_.get("model");
    if (model.empty()) throw UsageError("no model given: use --model DIRECTORY|REPO or set WDE_MODEL");
    std::vector<std::string> asked = split(args_.get("adapter"));
    const bool none = asked == std::vector<std::string>{"none"};
    if (none) asked.clear();
    ModelFiles files = find(model, "", none, 0);
    for (const std::string& adapter : asked) {
      const std::string directory = resolve(adapter);
      if (!has_adapter(directory)) throw UsageError(directory + ": --adapter expects an adapter_config.json in it");
      files.adapters.push_back(directory);
    }
    files.warnings.insert(files.warnings.begin(), warnings_.begin(), warnings_.end());
    return files;
  }

 private:
  std::string resolve(const std::string& name) {
    const ResolvedModel resolved = resolve_model(name, args_.download_callback());
    warnings_.insert(warnings_.end(), resolved.warnings.begin(), resolved.warnings.end());
    return resolved.directory;
  }

  // `adapter`: the directory of the adapter whose base this is; "": nobody's.
  ModelFiles find(const std::string& model, const std::string& adapter, bool no_adapter, size_t depth) {
    ModelFiles files;
    files.directory = resolve(model);
    const bool adapts = !no_adapter && std::filesystem::is_directory(files.directory) && has_adapter(files.directory);
    if (!adapts) {
      require_model_directory(files.directory);
      files.transformer = files.weights = find_transformer_directory(files.directory);
      files.config = join_path(files.transformer, "config.json");
      files.is_static = is_static_embedding(files.directory);
      return files;
    }
    if (depth == kMaxAdapters || files.directory == adapter)
      throw LoadError(files.directory + ": the adapter's bases are adapters without an end");
    const std::string base = adapter_base(files.directory), home = find_transformer_directory(files.directory);
    std::string place = base;
    if (base.starts_with("./") || base.starts_with("../")) place = join_path(files.directory, base);
    const bool here = base.empty() || base == "." || base == model || same_directory(place, files.directory);
    const bool own = has_weights(home);
    if (here && !own)
      throw LoadError(
          fmt::format("{}: adapter_config.json's base_model_name_or_path is {}, and there are no weights "
                      "beside it: load the base model with --model and this with --adapter",
                      files.directory, quote(base)));
    if (!here && own)
      throw LoadError(
          fmt::format("{}: there are weights, and an adapter to the weights of {}: which are meant? "
                      "--adapter none takes the weights without the adapter; --model {} --adapter {} the "
                      "others with it",
                      files.directory, quote(base), base, files.directory));
    if (here) {
      files.transformer = files.weights = home;
      files.config = join_path(home, "config.json");
    } else {
      // What the adapter's directory has counts, else what the base has.
      const ModelFiles below = find(place, files.directory, false, depth + 1);
      files.weights = below.weights;
      files.adapters = below.adapters;
      files.config = join_path(home, "config.json");
      if (!file_exists(files.config)) files.config = below.config;
      files.transformer = file_exists(join_path(home, "tokenizer.json")) ? home : below.transformer;
    }
    files.adapters.push_back(files.directory);
    return files;
  }

  const EngineArgs& args_;
  std::vector<std::string> warnings_;
};

}  // namespace

std::string ModelFiles::identity() const {
  std::string out = weights;
  for (const std::string& adapter : adapters) out += "\n" + adapter;
  return out;
}

Weights ModelFiles::open_weights() const {
  Weights opened = Weights::open(weights);
  for (const std::string& adapter : adapters) merge_adapter(adapter, opened);
  return opened;
}

ConfigView ModelFiles::read_config() const {
  return is_static ? read_static_config(weights, config) : ConfigView::read(config);
}

size_t ModelFiles::vector_size(const ConfigView& read) const {
  const ModelSpec& spec = ModelRegistry::instance().find(read);
  const auto head = spec.heads.find("embed");
  const size_t projected = head == spec.heads.end() ? 0 : projected_size(read, Weights::open(weights));
  return projected > 0 ? projected : config_hidden_size(read);
}

ModelFiles find_model_files(const EngineArgs& args) { return Finder(args).find(); }

}  // namespace wde
