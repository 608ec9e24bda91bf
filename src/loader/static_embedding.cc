#include "loader/static_embedding.h"

#include <nlohmann/json.hpp>

#include "loader/json_file.h"
#include "loader/weights.h"
#include "wde/result.h"

namespace wde {
namespace {

constexpr const char *kTable = "embedding.weight", *kModel2VecTable = "embeddings";
constexpr int64_t kModel2VecLength = 512;

const char* table_of(const Weights& weights) { return weights.has(kTable) ? kTable : kModel2VecTable; }

// null means that texts are not cut.
void read_max_length(const std::optional<ConfigView>& config, StaticSpec& spec) {
  constexpr const char* kKey = "max_length";
  if (config && config->mentions(kKey) && !config->has(kKey)) return;
  spec.max_length =
      static_cast<size_t>(config ? config->integer_or(kKey, kModel2VecLength, 1, kMaxStaticTokens) : kModel2VecLength);
  spec.max_length_source = config && config->has(kKey) ? "config.json" : "model2vec";
}

// Of tokenizer.json's model, whatever other files say.
void read_unknown(const ConfigView& tokenizer, Model2VecSpec& spec) {
  const ConfigView model = tokenizer.object("model");
  if (model.has("unk_token")) spec.unknown_token = model.string("unk_token");
  if (model.has("unk_id")) spec.unknown_id = static_cast<int32_t>(model.integer("unk_id", 0, INT32_MAX));
}

}  // namespace

bool is_model2vec_directory(const std::string& directory) {
  const std::string file = join_path(directory, "config.json");
  if (file_exists(join_path(directory, "modules.json")) || !file_exists(file)) return false;
  const ConfigView config = ConfigView::read(file);
  const std::string architecture = config_architecture(config), type = config_model_type(config);
  if (architecture == "StaticModel" || type == "model2vec") return true;
  return architecture.empty() && type.empty() && file_exists(join_path(directory, "model.safetensors")) &&
         Weights::open(directory).has(kModel2VecTable);
}

StaticSpec read_static_embedding(const std::string& directory) {
  StaticSpec spec;
  const std::optional<ConfigView> tokenizer = ConfigView::read_if_exists(join_path(directory, "tokenizer.json"));
  if (!tokenizer) throw LoadError(directory + ": expected a tokenizer.json beside the table");
  if (table_of(Weights::open(directory)) == kModel2VecTable) {
    const std::optional<ConfigView> config = ConfigView::read_if_exists(join_path(directory, "config.json"));
    spec.model2vec.emplace();
    spec.model2vec->normalize = config && config->boolean_or("normalize", false);
    read_unknown(*tokenizer, *spec.model2vec);
    read_max_length(config, spec);
    return spec;
  }
  // sentence-transformers looks at nothing but the tokenizer's own file.
  const std::optional<ConfigView> cut = tokenizer->object_if_exists("truncation");
  if (!cut) return spec;
  spec.max_length = static_cast<size_t>(cut->integer("max_length", 1, INT32_MAX));
  spec.max_length_source = "tokenizer.json";
  return spec;
}

ConfigView read_static_config(const std::string& directory, const std::string& config_file) {
  const Weights weights = Weights::open(directory);
  const std::string name = table_of(weights);
  const std::vector<size_t> shape = weights.shape(name);
  if (shape.size() != 2 || shape[0] == 0 || shape[1] == 0)
    throw LoadError(directory + ": expected a table \"embedding.weight\" or \"embeddings\", one row a token");
  const std::vector<size_t> mapping = name == kModel2VecTable ? weights.shape("mapping") : std::vector<size_t>();
  const nlohmann::json table = {{"architectures", {"StaticModel"}},
                                {"model_type", "model2vec"},
                                {"dtype", weights.dtype(name)},
                                {"vocab_size", mapping.empty() ? shape[0] : mapping[0]},
                                {"table_rows", shape[0]},
                                {"hidden_size", shape[1]},
                                {"max_position_embeddings", kMaxStaticTokens}};
  return ConfigView::from_json(table, config_file);
}

}  // namespace wde
