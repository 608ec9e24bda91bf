// modules.json, entry by entry, and the module that works on vectors of sentences and of tokens alike: Dense.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "loader/config.h"

namespace wde {

struct ModuleEntry {
  std::string full_type;          // "sentence_transformers.models.Pooling"
  std::string directory;          // of its files
  std::string_view type() const;  // its last component
};

struct DenseSpec {
  size_t in_features = 0;
  size_t out_features = 0;
  bool bias = true;
  std::string activation;  // "tanh", "identity", "relu", "gelu", "sigmoid", "silu"
  std::string directory;   // holds model.safetensors with linear.weight, linear.bias
  bool residual = false;  // the input is added, behind residual.weight where the sizes differ; of tokens' vectors alone
};

constexpr int64_t kMaxFeatures = int64_t{1} << 24;

std::string modules_file(const std::string& directory);
// Empty: there is no modules.json. Throws LoadError: no list of modules, a folder outside the model, a first module
// that is no Transformer nor what stands for one.
std::vector<ModuleEntry> read_modules(const std::string& directory);
ConfigView read_module_config(const ModuleEntry& module);

// What a module reads and writes is `feature` ("sentence_embedding", "token_embeddings"); modules on anything else
// would be silently wrong. Throws LoadError.
void require_feature(const ConfigView& config, std::string_view feature);
size_t feature_count(const ConfigView& config, std::string_view key);
void require_size(const ConfigView& config, std::string_view key, size_t expected, std::string_view what);

// `in_features`: of the vector that comes in. Throws LoadError.
DenseSpec read_dense(const ModuleEntry& module, size_t in_features, std::string_view feature);

}  // namespace wde
