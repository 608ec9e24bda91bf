// Where the parts of a model are: one directory, unless the model is a LoRA adapter, whose base lies elsewhere.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "loader/config.h"
#include "loader/weights.h"
#include "wde/engine_args.h"

namespace wde {

struct ModelFiles {
  std::string directory;              // what --model means: modules.json, prompts
  std::string transformer;            // of its tokenizer.json
  std::string config;                 // config.json
  std::string weights;                // directory
  std::vector<std::string> adapters;  // directories, in the order in which they are merged
  std::vector<std::string> warnings;

  // What two engines on the same weights agree in.
  std::string identity() const;
  Weights open_weights() const;
  // config.json; of static embeddings, what their table says.
  ConfigView read_config() const;
  // Of the vectors that pooling works on: the hidden states', or what a projection in the checkpoint makes of them.
  size_t vector_size(const ConfigView& read) const;
  bool is_static = false;
};

// Downloads what the Hub has and the cache has not. Throws LoadError, UsageError.
ModelFiles find_model_files(const EngineArgs& args);

}  // namespace wde
