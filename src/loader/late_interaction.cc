#include "loader/late_interaction.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "loader/json_file.h"
#include "wde/result.h"

namespace wde {
namespace {

constexpr int64_t kMaxTokens = 1 << 24;
constexpr int64_t kQueryLength = 32;  // ColBERT's own
constexpr std::string_view kTokens = "token_embeddings";

// Keys of config_sentence_transformers.json that nobody but PyLate writes there.
constexpr std::array<std::string_view, 9> kPyLateKeys = {
    "query_length",          "document_length", "query_expansion",
    "do_query_expansion",    "query_prefix",    "attend_to_expansion_tokens",
    "attend_to_mask_tokens", "document_prefix", "skiplist_words"};

std::vector<std::string> punctuation() {  // Python's string.punctuation
  std::vector<std::string> out;
  for (const char c : std::string_view("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")) out.emplace_back(1, c);
  return out;
}

size_t length_of(const ConfigView& config, std::string_view key, int64_t fallback) {
  return static_cast<size_t>(config.integer_or(key, fallback, 0, kMaxTokens));
}

// Queries have this length, no less and no more.
void fill_exactly(LateInteraction& out, size_t length, bool seen) {
  out.fill_to = out.query.max_length = length;
  out.fill_is_seen = seen;
}

// sentence-transformers' own form; `config` has the key, perhaps null.
void read_query_expansion(const ConfigView& config, LateInteraction& out) {
  out.fill_to = 0;
  if (!config.has("query_expansion")) return;
  const ConfigView expansion = config.object("query_expansion");
  const std::string strategy = expansion.string("strategy");
  if (strategy != "fixed" && strategy != "min") {
    throw LoadError(
        fmt::format("{}: \"query_expansion.strategy\" must be fixed or min, found {}", config.file(), quote(strategy)));
  }
  const auto length = static_cast<size_t>(expansion.integer("length", 1, kMaxTokens));
  if (out.query.max_length > 0 && out.query.max_length < length) {
    throw LoadError(fmt::format("{}: \"query_length\" must be at least query_expansion's length of {}, found {}",
                                config.file(), length, out.query.max_length));
  }
  const size_t longest = out.query.max_length;
  fill_exactly(out, length, expansion.boolean_or("attend", false));
  if (strategy == "min") out.query.max_length = longest;
  out.fill_token = expansion.string_or("token", "");
}

// What PyLate up to version 3 writes into config_sentence_transformers.json.
void read_pylate(const ConfigView& config, LateInteraction& out) {
  out.query.marker = config.string_or("query_prefix", "");
  out.document.marker = config.string_or("document_prefix", "");
  out.document.max_length = length_of(config, "document_length", 0);
  if (config.mentions("query_expansion")) {
    out.query.max_length = length_of(config, "query_length", 0);
    read_query_expansion(config, out);
  } else if (config.boolean_or("do_query_expansion", true)) {
    const bool seen = config.boolean_or("attend_to_mask_tokens", false);
    fill_exactly(out, length_of(config, "query_length", kQueryLength),
                 config.boolean_or("attend_to_expansion_tokens", seen));
  } else {
    out.query.max_length = length_of(config, "query_length", 0);
  }
  out.skipped_words = config.has("skiplist_words") ? config.strings("skiplist_words") : punctuation();
}

void read_mask(const ModuleEntry& module, LateInteraction& out) {
  const ConfigView config = read_module_config(module);
  if (config.has("keep_only_token_ids"))
    throw LoadError(config.file() + ": \"keep_only_token_ids\" must be null, found a list, which is not supported");
  out.skipped_words.clear();
  if (config.has("skiplist_words")) out.skipped_words = config.strings("skiplist_words");
  if (!config.has("skiplist_tasks")) return;
  const std::vector<std::string> tasks = config.strings("skiplist_tasks");
  const auto has = [&](const char* task) { return std::find(tasks.begin(), tasks.end(), task) != tasks.end(); };
  out.skip_in_queries = has("query");
  out.skip_in_documents = has("document");
}

bool is_multi_vector_encoder(const ConfigView& config) {
  return config.string_or("model_type", "") == "MultiVectorEncoder";
}

}  // namespace

bool is_stanford_colbert(const ConfigView& config) { return config_architecture(config) == "HF_ColBERT"; }

LateInteraction read_stanford_colbert(const std::string& directory) {
  LateInteraction out;
  out.linear_in_checkpoint = true;
  const std::string file = join_path(directory, "artifact.metadata");
  const ConfigView metadata =
      ConfigView::read_if_exists(file).value_or(ConfigView::from_json(nlohmann::json::object(), file));
  out.query.marker = metadata.string_or("query_token_id", "[unused0]");
  out.document.marker = metadata.string_or("doc_token_id", "[unused1]");
  out.document.max_length = length_of(metadata, "doc_maxlen", 0);
  fill_exactly(out, length_of(metadata, "query_maxlen", kQueryLength),
               metadata.boolean_or("attend_to_mask_tokens", false));
  if (metadata.boolean_or("mask_punctuation", true)) out.skipped_words = punctuation();
  return out;
}

bool is_late_interaction(const ConfigView& config) {
  const std::string type = config.string_or("model_type", "");
  if (type == "ColBERT" || is_multi_vector_encoder(config)) return true;
  // PyLate's oldest have no model_type.
  return (type.empty() || type == "SentenceTransformer") &&
         std::any_of(kPyLateKeys.begin(), kPyLateKeys.end(), [&](auto key) { return config.mentions(key); });
}

LateInteraction read_late_interaction(const ConfigView& config, const std::optional<ConfigView>& transformer,
                                      const std::vector<ModuleEntry>& modules, size_t hidden_size) {
  LateInteraction out;
  const bool own_form = is_multi_vector_encoder(config);
  const bool pylate =
      std::any_of(kPyLateKeys.begin(), kPyLateKeys.end(), [&](auto key) { return config.mentions(key); });
  if (pylate || !own_form) read_pylate(config, out);
  if (transformer) {
    const bool expansion = transformer->mentions("query_expansion");
    if (expansion || transformer->has("query_length"))
      out.query.max_length = length_of(*transformer, "query_length", 0);
    if (transformer->has("document_length")) out.document.max_length = length_of(*transformer, "document_length", 0);
    if (expansion) read_query_expansion(*transformer, out);
  }
  out.mean = config.string_or("similarity_fn_name", "") == "meanmaxsim";
  // PyLate lists no more than the Dense; it masks and normalises without a module.
  out.normalize = !own_form;
  size_t size = hidden_size;
  for (size_t i = 1; i < modules.size(); ++i) {
    const ModuleEntry& module = modules[i];
    const auto wrong = [&](std::string_view expected) {
      return LoadError(fmt::format("module {} of a late-interaction model: expected {}, found {} ({})", i, expected,
                                   quote(module.full_type), module.directory));
    };
    if (module.type() == "Dense") {
      if (own_form && out.normalize) throw wrong("no Dense behind Normalize");
      out.dense.push_back(read_dense(module, size, kTokens));
      size = out.dense.back().out_features;
    } else if (module.type() == "Normalize") {
      require_feature(read_module_config(module), kTokens);
      out.normalize = true;
    } else if (module.type() == "MultiVectorMask") {
      read_mask(module, out);
    } else {
      throw wrong("one of Dense, MultiVectorMask, Normalize");
    }
  }
  if (out.dense.empty() && !own_form) {
    throw LoadError(config.file() +
                    ": expected a Dense behind the Transformer of a late-interaction model, found none");
  }
  return out;
}

}  // namespace wde
