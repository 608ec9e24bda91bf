// What a model's files say about its embeddings.
#pragma once

#include <string>

#include "loader/config.h"
#include "loader/sentence_transformers.h"
#include "wde/engine.h"

namespace wde {

// Fills in what follows from the files. `pooling`: the user's, "" without one; `pooled`: the task gives such
// embeddings.
void describe_embeddings(EngineInfo& info, const ConfigView& config, const SentenceTransformersSpec& spec,
                         const std::string& pooling, bool pooled);

}  // namespace wde
