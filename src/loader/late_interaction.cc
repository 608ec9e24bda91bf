#include "loader/late_interaction.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "loader/json_file.h"
#include "wde/result.h"

namespace wde {
namespace {

constexpr int64_t kMaxTokens = 1 << 24;
constexpr int64_t kQueryLength = 32;  // ColBERT's own

std::vector<std::string> punctuation() {
  std::vector<std::string> out;
  for (const char c : std::string_view("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")) out.emplace_back(1, c);
  return out;
}

size_t length_or(const ConfigView& config, std::string_view key, int64_t fallback) {
  return static_cast<size_t>(config.integer_or(key, fallback, 1, kMaxTokens));
}

// sentence-transformers' own form.
void read_expansion(const ConfigView& expansion, LateInteraction& settings) {
  const std::string strategy = expansion.string("strategy");
  if (strategy != "fixed" && strategy != "min") {
    throw LoadError(
        fmt::format("{}: the strategy of query_expansion is {}, expected fixed or min", expansion.file(), quote(strategy)));
  }
  settings.expansion = strategy == "fixed" ? LateInteraction::Expansion::kFixed : LateInteraction::Expansion::kAtLeast;
  settings.expanded_length = static_cast<size_t>(expansion.integer("length", 1, kMaxTokens));
  settings.attend = expansion.boolean_or("attend", false);
  settings.expansion_token = expansion.string_or("token", "");
}

// PyLate's, in config_sentence_transformers.json; false: none of its keys is there.
bool read_pylate(const ConfigView& config, LateInteraction& settings) {
  bool found = false;
  for (const char* key : {"query_length", "document_length", "query_expansion", "do_query_expansion",
                          "attend_to_expansion_tokens", "query_prefix", "document_prefix", "skiplist_words"})
    found = found || config.mentions(key);
  if (!found) return false;
  settings.query_marker = config.string_or("query_prefix", "");
  settings.document_marker = config.string_or("document_prefix", "");
  if (config.has("query_length")) settings.query_length = length_or(config, "query_length", kQueryLength);
  if (config.has("document_length")) settings.document_length = length_or(config, "document_length", 1);
  if (config.mentions("query_expansion")) {
    if (config.has("query_expansion")) read_expansion(config.object("query_expansion"), settings);
  } else if (config.boolean_or("do_query_expansion", true)) {
    settings.expansion = LateInteraction::Expansion::kFixed;
    settings.expanded_length = length_or(config, "query_length", kQueryLength);
    settings.attend =
        config.boolean_or("attend_to_expansion_tokens", config.boolean_or("attend_to_mask_tokens", false));
  }
  return true;
}

std::string read_dense(const TokenModule& module) {
  const ConfigView config = ConfigView::read(join_path(module.directory, "config.json"));
  for (const char* key : {"module_input_name", "module_output_name"}) {
    if (config.string_or(key, "token_embeddings") != "token_embeddings")
      throw LoadError(fmt::format("{}: \"{}\" must be \"token_embeddings\"", config.file(), key));
  }
  if (config.boolean_or("use_residual", false))
    throw LoadError(fmt::format("{}: \"use_residual\" must be false, found true, which is not supported", config.file()));
  const std::string activation = config.string_or("activation_function", "torch.nn.modules.linear.Identity");
  if (!activation.ends_with(".Identity"))
    throw LoadError(fmt::format("{}: \"activation_function\" must be Identity, found {}", config.file(), quote(activation)));
  return module.directory;
}

}  // namespace

LateInteractionFiles read_stanford_colbert(const std::string& transformer) {
  LateInteractionFiles files;
  LateInteraction& settings = files.settings;
  settings.query_marker = "[unused0]";
  settings.document_marker = "[unused1]";
  settings.expansion = LateInteraction::Expansion::kFixed;
  settings.expanded_length = kQueryLength;
  settings.skipped_words = punctuation();
  const auto metadata = ConfigView::read_if_exists(join_path(transformer, "artifact.metadata"));
  if (!metadata) return files;
  settings.query_marker = metadata->string_or("query_token_id", settings.query_marker);
  settings.document_marker = metadata->string_or("doc_token_id", settings.document_marker);
  settings.expanded_length = length_or(*metadata, "query_maxlen", kQueryLength);
  if (metadata->has("doc_maxlen")) settings.document_length = length_or(*metadata, "doc_maxlen", 1);
  settings.attend = metadata->boolean_or("attend_to_mask_tokens", false);
  if (!metadata->boolean_or("mask_punctuation", true)) settings.skipped_words.clear();
  return files;
}

LateInteractionFiles read_token_modules(const ConfigView& config, const std::optional<ConfigView>& transformer,
                                        const std::vector<TokenModule>& modules, const std::string& file) {
  LateInteractionFiles files;
  LateInteraction& settings = files.settings;
  const bool pylate = read_pylate(config, settings);
  if (transformer) {
    if (transformer->has("query_length")) settings.query_length = length_or(*transformer, "query_length", 1);
    if (transformer->has("document_length")) settings.document_length = length_or(*transformer, "document_length", 1);
    if (transformer->has("query_expansion")) read_expansion(transformer->object("query_expansion"), settings);
  }
  bool masked = false, normalized = false;
  for (const TokenModule& module : modules) {
    if (module.type == "Dense") {
      files.dense.push_back(read_dense(module));
    } else if (module.type == "Normalize") {
      normalized = true;
    } else if (module.type == "MultiVectorMask") {
      masked = true;
      const ConfigView mask = ConfigView::read(join_path(module.directory, "config.json"));
      if (mask.has("skiplist_words")) settings.skipped_words = mask.strings("skiplist_words");
      if (mask.has("keep_only_token_ids"))
        throw LoadError(mask.file() + ": \"keep_only_token_ids\" is not supported");
      if (mask.has("skiplist_tasks")) {
        settings.skip_in_queries = settings.skip_in_documents = false;
        for (const std::string& task : mask.strings("skiplist_tasks")) {
          settings.skip_in_queries = settings.skip_in_queries || task == "query";
          settings.skip_in_documents = settings.skip_in_documents || task == "document";
        }
      }
    } else {
      throw LoadError(fmt::format("{}: expected Dense, MultiVectorMask or Normalize behind the Transformer, found {}",
                                  file, quote(module.type)));
    }
  }
  if (files.dense.empty()) throw LoadError(file + ": expected a Dense behind the Transformer, found none");
  // PyLate's models up to version 3 list no more than the Dense.
  if (config.string_or("model_type", "") == "ColBERT") normalized = true;
  if (!masked && pylate)
    settings.skipped_words = config.has("skiplist_words") ? config.strings("skiplist_words") : punctuation();
  files.normalize = normalized;
  return files;
}

}  // namespace wde
