// The files of late-interaction models: Stanford's ColBERT (artifact.metadata), PyLate's and sentence-transformers'
// (modules.json with a Dense on the tokens' vectors).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "loader/config.h"
#include "stage/late_interaction.h"

namespace wde {

struct LateInteractionFiles {
  LateInteraction settings;
  std::vector<std::string> dense;  // directories, in their order; empty: linear.weight is among the model's tensors
  bool normalize = true;           // each vector
};

// `transformer`: the directory of config.json and artifact.metadata.
LateInteractionFiles read_stanford_colbert(const std::string& transformer);

// An entry of modules.json behind the Transformer.
struct TokenModule {
  std::string type;  // its last component
  std::string directory;
};
// `config`: config_sentence_transformers.json; `transformer`: the Transformer's own file, if there is one. Throws
// LoadError.
LateInteractionFiles read_token_modules(const ConfigView& config, const std::optional<ConfigView>& transformer,
                                        const std::vector<TokenModule>& modules, const std::string& file);

}  // namespace wde
