// jina-embeddings-v3: XLM-RoBERTa's shape with rotary positions and fused projections.
#pragma once

#include <memory>

#include "model/model.h"

namespace wde {

// The checkpoint has its tensors' names; its config may call itself XLM-RoBERTa.
bool is_jina_v3(const Weights& weights);
std::unique_ptr<Model> make_jina_v3(const ConfigView& config, Weights& weights);

}  // namespace wde
