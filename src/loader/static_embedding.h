// The files of static embeddings: a table of vectors, one row a token, with a tokenizer.json beside it.
// sentence-transformers calls the table "embedding.weight", model2vec "embeddings", and the two read texts differently.
// Gives data only.
#pragma once

#include <optional>
#include <string>

#include "loader/config.h"

namespace wde {

constexpr size_t kMaxStaticTokens = 1 << 17;

// How model2vec reads a text: unknown tokens count for nothing, and of a long text only the first characters are looked
// at, as many as the maximum length has tokens, times the median length of the vocabulary's.
struct Model2VecSpec {
  std::string unknown_token;          // "": there is none, or ...
  std::optional<int32_t> unknown_id;  // ... it is known by its number
  bool normalize = false;             // where no modules.json says it
};

struct StaticSpec {
  size_t max_length = kMaxStaticTokens;
  std::string max_length_source = "StaticEmbedding";
  std::optional<Model2VecSpec> model2vec;
};

// The directory holds model2vec's files and no modules.json: its config.json says so, or says nothing and there is a
// table.
bool is_model2vec_directory(const std::string& directory);
StaticSpec read_static_embedding(const std::string& directory);  // throws LoadError
// What stands for a config.json: sizes of the table. Throws LoadError.
ConfigView read_static_config(const std::string& directory, const std::string& config_file);

}  // namespace wde
