#include "engine/embeddings.h"

#include <nlohmann/json.hpp>
#include <string_view>

namespace wde {
namespace {

// Of vLLM's files and jina-embeddings-v3's.
void read_matryoshka(EngineInfo& info, const ConfigView& config) {
  const std::string_view key = config.first_of({"matryoshka_dimensions", "matryoshka_dims"});
  info.matryoshka = config.boolean_or("is_matryoshka", false) || config.has(key);
  if (!config.has(key)) return;
  for (const auto& size : config.json().at(std::string(key))) {
    if (size.is_number_unsigned()) info.matryoshka_dimensions.push_back(size.get<size_t>());
  }
}

}  // namespace

void describe_embeddings(EngineInfo& info, const ConfigView& config, const SentenceTransformersSpec& spec,
                         const std::string& pooling, bool pooled) {
  info.normalizes =
      !spec.post.empty() && spec.post.back().kind == PostModule::Kind::kNormalize && spec.truncate_dim == 0;
  info.similarity = !spec.present && info.task == "sparse" ? "dot" : spec.similarity;
  read_matryoshka(info, config);
  if (!pooled) return;
  for (const Pooling mode : spec.pooling.modes)
    info.pooling.append(info.pooling.empty() ? "" : "+").append(pooling_name(mode));
  if (!pooling.empty()) info.pooling = pooling;
  info.facts.emplace_back("pooling", pooling.empty() ? info.pooling : pooling + " (--pooling)");
}

}  // namespace wde
