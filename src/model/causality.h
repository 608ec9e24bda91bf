// Who decides whether attention is causal. The first that speaks: the --attention flag; config.json's is_causal,
// use_bidirectional_attention, causal (Nomic); an architecture or a model_type that is bidirectional by its nature;
// config.json's auto_map, where it names code that is known to be (gte-Qwen2, LLM2Vec); a file llm2vec_config.json; the
// architecture's default.
#pragma once

#include <optional>
#include <string>

#include "loader/config.h"

namespace wde {

struct Causality {
  bool bidirectional = true;
  std::string rule;  // "is_causal in config.json", for logs and doctor
};

// `causal_by_default`: of the architecture. Throws LoadError for a key with a value that is not known.
// `directory`: of the model, where it is another than config.json's (an adapter's).
Causality resolve_causality(const std::string& flag, const ConfigView& config, bool causal_by_default,
                            const std::string& directory = "");

// use_bidirectional_attention: true, false, "all", or "vision" (of images alone, which no text has). Nothing: the key
// is absent.
std::optional<bool> config_bidirectional_attention(const ConfigView& config);

}  // namespace wde
