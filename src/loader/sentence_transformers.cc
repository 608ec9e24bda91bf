#include "loader/sentence_transformers.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "loader/json_file.h"
#include "wde/result.h"

namespace wde {
namespace {

constexpr int64_t kMaxTokens = INT32_MAX;
constexpr std::string_view kSentence = "sentence_embedding";

struct PoolingEntry {
  Pooling pooling;
  std::string_view name;
  std::string_view flag;  // its key before sentence-transformers 5.4
};
constexpr std::array kPoolings = {
    PoolingEntry{Pooling::kCls, "cls", "pooling_mode_cls_token"},
    PoolingEntry{Pooling::kMax, "max", "pooling_mode_max_tokens"},
    PoolingEntry{Pooling::kMean, "mean", "pooling_mode_mean_tokens"},
    PoolingEntry{Pooling::kMeanSqrtLen, "mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens"},
    PoolingEntry{Pooling::kWeightedMean, "weightedmean", "pooling_mode_weightedmean_tokens"},
    PoolingEntry{Pooling::kLastToken, "lasttoken", "pooling_mode_lasttoken"},
};

// Behind the Transformer.
constexpr std::array<std::string_view, 7> kModuleTypes = {"Pooling",    "Dense",   "LayerNorm",    "Normalize",
                                                          "LogitScore", "Dropout", "SpladePooling"};

// The first that exists counts; once every model family had its own.
constexpr std::array<std::string_view, 7> kTransformerFiles = {
    "sentence_bert_config.json",      "sentence_roberta_config.json", "sentence_distilbert_config.json",
    "sentence_camembert_config.json", "sentence_albert_config.json",  "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
};

void require_known_type(const ModuleEntry& module, size_t index, const std::string& file) {
  if (std::find(kModuleTypes.begin(), kModuleTypes.end(), module.type()) != kModuleTypes.end()) return;
  throw LoadError(fmt::format("{}: module {}: expected one of the types {}, found {}, which is not supported", file,
                              index, fmt::join(kModuleTypes, ", "), quote(module.full_type)));
}

Pooling require_pooling(const ConfigView& config, std::string_view name) {
  const std::optional<Pooling> pooling = pooling_from_name(name);
  if (pooling) return *pooling;
  std::vector<std::string_view> known;
  for (const PoolingEntry& entry : kPoolings) known.push_back(entry.name);
  throw LoadError(
      fmt::format("{}: \"pooling_mode\" must be of {}, found {}", config.file(), fmt::join(known, ", "), quote(name)));
}

PoolingSpec read_pooling(const ModuleEntry& module, size_t hidden_size) {
  const ConfigView config = read_module_config(module);
  const std::string_view dimension = config.first_of({"embedding_dimension", "word_embedding_dimension"});
  const auto has_flag = [&](const PoolingEntry& entry) { return config.has(entry.flag); };
  if (!config.has("pooling_mode") && !config.has(dimension) &&
      std::none_of(kPoolings.begin(), kPoolings.end(), has_flag)) {
    throw LoadError(
        fmt::format("{}: expected a Pooling module's \"pooling_mode\", \"pooling_mode_*\" or \"embedding_dimension\", "
                    "found none of them",
                    config.file()));
  }
  PoolingSpec spec;
  if (config.has("pooling_mode")) {
    const std::vector<std::string> names = config.strings("pooling_mode");
    // No model uses a mode twice; the bound keeps a hostile file's output small.
    if (names.empty() || names.size() > kPoolings.size()) {
      throw LoadError(fmt::format("{}: \"pooling_mode\" must be 1 to {} modes, found {}", config.file(),
                                  kPoolings.size(), names.size()));
    }
    for (const std::string& name : names) spec.modes.push_back(require_pooling(config, name));
  } else {
    for (const PoolingEntry& entry : kPoolings) {
      if (config.boolean_or(entry.flag, false)) spec.modes.push_back(entry.pooling);
    }
    if (spec.modes.empty()) spec.modes = {Pooling::kMean};
  }
  spec.include_prompt = config.boolean_or("include_prompt", true);
  if (config.has(dimension)) require_size(config, dimension, hidden_size, "the transformer's hidden size");
  return spec;
}

PostModule read_layer_norm(const ModuleEntry& module, size_t size) {
  const ConfigView config = read_module_config(module);
  require_feature(config, kSentence);
  require_size(config, "dimension", size, "what the module before gives");
  PostModule post;
  post.kind = PostModule::Kind::kLayerNorm;
  post.layer_norm = {size, module.directory};
  return post;
}

PostModule read_normalize(const ModuleEntry& module) {
  // Most have no folder at all; the file came with sentence-transformers 6.
  const std::optional<ConfigView> config = ConfigView::read_if_exists(join_path(module.directory, "config.json"));
  if (config) require_feature(*config, kSentence);
  return {};  // of kind kNormalize
}

SpladeSpec read_splade(const ModuleEntry& module) {
  const std::optional<ConfigView> config = ConfigView::read_if_exists(join_path(module.directory, "config.json"));
  // Whether it is the second of the two values that the key can have.
  const auto is_second = [&](std::string_view key, std::string_view first, std::string_view second) {
    const std::string found = config ? config->string_or(key, first) : std::string(first);
    if (found == first || found == second) return found == second;
    throw LoadError(
        fmt::format("{}: \"{}\" must be {} or {}, found {}", config->file(), key, first, second, quote(found)));
  };
  return {is_second("pooling_strategy", "max", "sum"), is_second("activation_function", "relu", "log1p_relu")};
}

// Texts and images become vectors of sentences by the model's own methods, CLIP's.
bool gives_features(const ConfigView& config) {
  const std::optional<ConfigView> modalities = config.object_if_exists("modality_config");
  const std::optional<ConfigView> text = modalities ? modalities->object_if_exists("text") : std::nullopt;
  return text && text->string_or("method", "") == "get_text_features" &&
         config.string_or("module_output_name", "") == "sentence_embedding";
}

constexpr std::string_view kOutput = "module_output_name";

// What files since sentence-transformers 5.4 can ask for beyond plain texts through the tokenizer.
void require_plain_text(const ConfigView& config) {
  const std::string output = config.string_or(kOutput, "token_embeddings");
  if (!gives_features(config) && output != "token_embeddings" && output != "scores") {
    throw LoadError(
        fmt::format("{}: \"module_output_name\" must be \"token_embeddings\", found {}, which is not supported",
                    config.file(), quote(output)));
  }
  const std::optional<ConfigView> modalities = config.object_if_exists("modality_config");
  if (modalities && !modalities->has("text")) {
    throw LoadError(fmt::format("{}: \"modality_config\" must have \"text\", found only {}, which is not supported",
                                config.file(), quote(fmt::format("{}", fmt::join(modalities->keys(), ", ")))));
  }
  const std::optional<ConfigView> processing = config.object_if_exists("processing_kwargs");
  if (!processing) return;
  for (const std::string_view part : {"text", "common"}) {
    const std::optional<ConfigView> settings = processing->object_if_exists(part);
    for (const std::string_view key : {"max_length", "truncation", "truncation_side", "add_special_tokens"}) {
      if (settings && settings->has(key)) {
        throw LoadError(
            fmt::format("{}: \"processing_kwargs.{}\" sets \"{}\", which is not supported", config.file(), part, key));
      }
    }
  }
}

// Arguments for the classes of transformers, which override the files that they read: those that change nothing may
// stay.
void refuse_loading_arguments(const ConfigView& config) {
  constexpr std::string_view kHarmless[] = {
      "trust_remote_code", "revision",     "code_revision",    "use_fast",
      "padding_side",      "unpad_inputs", "local_files_only", "use_memory_efficient_attention"};
  for (const std::string_view part : {"tokenizer_args", "processor_kwargs", "config_args", "config_kwargs"}) {
    const std::optional<ConfigView> arguments = config.object_if_exists(part);
    if (!arguments) continue;
    for (const std::string& key : arguments->keys()) {
      if (std::find(std::begin(kHarmless), std::end(kHarmless), key) != std::end(kHarmless)) continue;
      throw LoadError(fmt::format("{}: \"{}\" sets {}, which is not supported here; set it in {}", config.file(), part,
                                  quote(key), part.starts_with("config") ? "config.json" : "tokenizer_config.json"));
    }
  }
}

LogitScoreSpec read_logit_score(const ModuleEntry& module) {
  const ConfigView config = read_module_config(module);
  LogitScoreSpec spec;
  spec.true_token_id = static_cast<size_t>(config.integer("true_token_id", 0, kMaxFeatures));
  if (config.has("false_token_id"))
    spec.false_token_id = static_cast<size_t>(config.integer("false_token_id", 0, kMaxFeatures));
  return spec;
}

// `embeds`: the tokens' vectors are used, so nothing but plain text may come in.
// Gives the file that says all this, if there is one.
std::optional<ConfigView> read_transformer(const ModuleEntry& module, bool embeds, SentenceTransformersSpec& spec) {
  spec.transformer_directory = module.directory;
  for (const std::string_view name : kTransformerFiles) {
    std::optional<ConfigView> config = ConfigView::read_if_exists(join_path(module.directory, name));
    if (!config) continue;
    if (embeds) require_plain_text(*config);
    refuse_loading_arguments(*config);
    if (embeds) spec.pooled = gives_features(*config);
    if (embeds) spec.scores = config->string_or(kOutput, "") == "scores";
    if (config->has("max_seq_length")) {
      spec.max_seq_length = static_cast<size_t>(config->integer("max_seq_length", 1, kMaxTokens));
      spec.max_seq_length_source = name;
    }
    spec.do_lower_case = config->boolean_or("do_lower_case", false);
    return config;
  }
  return std::nullopt;
}

void read_static(const std::string& directory, SentenceTransformersSpec& spec) {
  const StaticSpec files = read_static_embedding(directory);
  spec.transformer_directory = directory;
  spec.max_seq_length = files.max_length;
  spec.max_seq_length_source = files.max_length_source;
  spec.model2vec = files.model2vec;
}

void read_prompts(const std::optional<ConfigView>& config, SentenceTransformersSpec& spec) {
  if (!config) return;
  const std::string model_type = config->string_or("model_type", "SentenceTransformer");
  constexpr std::array<std::string_view, 5> kTypes = {"SentenceTransformer", "SparseEncoder", "CrossEncoder",
                                                      "MultiVectorEncoder", "ColBERT"};
  if (std::find(kTypes.begin(), kTypes.end(), model_type) == kTypes.end()) {
    throw LoadError(fmt::format("{}: \"model_type\" must be one of {}, found {}", config->file(),
                                fmt::join(kTypes, ", "), quote(model_type)));
  }
  constexpr std::string_view kActivation = "activation_fn";
  // What is not torch's own is not trusted, so that sentence-transformers does not look at it.
  if (model_type == "CrossEncoder" && config->string_or(kActivation, "").starts_with("torch."))
    spec.score_activation = torch_score_activation(*config, kActivation);
  if (model_type == "SparseEncoder") spec.similarity = "dot";
  // Of other names there are those of late interaction, which sentence-transformers leaves aside here.
  const std::string similarity = config->string_or("similarity_fn_name", spec.similarity);
  if (similarity == "dot" || similarity == "euclidean" || similarity == "manhattan" || similarity == "cosine")
    spec.similarity = similarity;
  if (model_type == "SentenceTransformer")
    spec.truncate_dim = static_cast<size_t>(config->integer_or("truncate_dim", 0, 1, kMaxFeatures));
  if (model_type == "SparseEncoder")
    spec.max_active_dims = static_cast<size_t>(config->integer_or("max_active_dims", 0, 1, kMaxFeatures));
  if (const std::optional<ConfigView> prompts = config->object_if_exists("prompts")) {
    for (const std::string& name : prompts->keys()) {
      if (prompts->has(name)) spec.prompts.emplace(name, prompts->string(name));  // null: as if it were not there
    }
  }
  if (!config->has("default_prompt_name")) return;
  const std::string name = config->string("default_prompt_name");
  // These two are always there, empty if the file does not give them.
  const bool built_in = name == "query" || name == "document";
  if (!built_in && !spec.prompts.contains(name)) {
    std::vector<std::string> known;
    for (const auto& [known_name, text] : spec.prompts) known.push_back(quote(known_name));
    throw LoadError(
        fmt::format("{}: \"default_prompt_name\" must be a name in \"prompts\" ({}), found {}", config->file(),
                    known.empty() ? "there are none" : fmt::format("{}", fmt::join(known, ", ")), quote(name)));
  }
  spec.default_prompt_name = name;
}

// The prompts of queries and documents may begin with the marker, which is put there anyway. Documents are as long as
// their own setting says, also where the transformer's is the length without the marker.
void finish_late_interaction(SentenceTransformersSpec& spec) {
  const LateInteraction& late = *spec.late_interaction;
  for (const auto& [name, side] : {std::pair{"query", &late.query}, {"document", &late.document}}) {
    const auto prompt = spec.prompts.find(name);
    if (prompt != spec.prompts.end() && !side->marker.empty() && prompt->second.starts_with(side->marker))
      prompt->second.erase(0, side->marker.size());
  }
  const size_t longest = std::max({late.query.max_length, late.document.max_length, late.fill_to});
  if (!spec.max_seq_length || *spec.max_seq_length >= longest) return;
  spec.max_seq_length = longest;
  spec.max_seq_length_source = "query and document length";
}

}  // namespace

std::string_view pooling_name(Pooling pooling) {
  for (const PoolingEntry& entry : kPoolings) {
    if (entry.pooling == pooling) return entry.name;
  }
  return "";
}

std::optional<Pooling> pooling_from_name(std::string_view name) {
  for (const PoolingEntry& entry : kPoolings) {
    if (entry.name == name) return entry.pooling;
  }
  return std::nullopt;
}

std::string find_transformer_directory(const std::string& directory) {
  const std::vector<ModuleEntry> modules = read_modules(directory);
  return modules.empty() ? directory : modules.front().directory;
}

bool is_static_embedding(const std::string& directory) {
  const std::vector<ModuleEntry> modules = read_modules(directory);
  return modules.empty() ? is_model2vec_directory(directory) : modules.front().type() == "StaticEmbedding";
}

SentenceTransformersSpec read_sentence_transformers(const std::string& directory, size_t hidden_size) {
  SentenceTransformersSpec spec;
  spec.transformer_directory = directory;
  spec.pooling.modes = {Pooling::kMean};
  const std::string file = modules_file(directory);
  const std::vector<ModuleEntry> modules = read_modules(directory);
  // sentence-transformers reads none of its other files then either.
  if (modules.empty() && is_model2vec_directory(directory)) {
    read_static(directory, spec);
    spec.present = spec.embeds = true;
    if (spec.model2vec && spec.model2vec->normalize) spec.post.emplace_back();  // of kind kNormalize
    return spec;
  }
  if (modules.empty()) {
    const std::optional<ConfigView> config = ConfigView::read_if_exists(join_path(directory, "config.json"));
    if (config && is_stanford_colbert(*config)) spec.late_interaction = read_stanford_colbert(directory);
    return spec;
  }

  spec.present = true;
  const std::optional<ConfigView> model =
      ConfigView::read_if_exists(join_path(directory, "config_sentence_transformers.json"));
  const auto is = [&](std::string_view type) {
    return std::any_of(modules.begin(), modules.end(),
                       [&](const ModuleEntry& module) { return module.type() == type; });
  };
  const bool scores = is("LogitScore");
  const bool splade = is("SpladePooling");
  const bool is_static = modules.front().type() == "StaticEmbedding";
  std::optional<ConfigView> transformer;
  if (is_static) {
    read_static(modules.front().directory, spec);
  } else {
    transformer = read_transformer(modules.front(), !scores && !splade, spec);
  }
  read_prompts(model, spec);
  if (model && is_late_interaction(*model)) {
    spec.late_interaction = read_late_interaction(*model, transformer, modules, hidden_size);
    finish_late_interaction(spec);
    return spec;
  }
  if (modules.front().type() == "CLIPModel") spec.pooled = true;
  bool pooled = is_static || spec.pooled;  // a static one means the tokens' vectors itself
  size_t size = pooled ? hidden_size : 0;
  for (size_t i = 1; i < modules.size(); ++i) {
    const ModuleEntry& module = modules[i];
    require_known_type(module, i, file);
    if (module.type() == "Dropout") continue;  // does nothing outside training
    if (module.type() == "SpladePooling") {
      spec.splade = read_splade(module);
      continue;
    }
    if (module.type() == "LogitScore") {
      spec.logit_score = read_logit_score(module);
      continue;
    }
    if (module.type() == "Pooling") {
      if (pooled) throw LoadError(fmt::format("{}: module {}: expected one Pooling, found another", file, i));
      spec.pooling = read_pooling(module, hidden_size);
      size = hidden_size * spec.pooling.modes.size();
      pooled = true;
      continue;
    }
    if (!pooled) {
      throw LoadError(fmt::format(
          "{}: module {}: expected a Pooling module before it, found {} on the tokens' vectors, which is not supported",
          file, i, module.type()));
    }
    if (module.type() == "Dense") {
      PostModule post;
      post.kind = PostModule::Kind::kDense;
      post.dense = read_dense(module, size, kSentence);
      size = post.dense.out_features;
      spec.post.push_back(std::move(post));
    } else if (module.type() == "LayerNorm") {
      spec.post.push_back(read_layer_norm(module, size));
    } else if (module.type() == "Normalize") {
      spec.post.push_back(read_normalize(module));
    }
  }
  spec.embeds = pooled;
  if (!pooled && !scores && !splade && !spec.scores)
    throw LoadError(fmt::format("{}: expected a Pooling module behind the Transformer, found none", file));
  return spec;
}

MaxLength resolve_max_length(const SentenceTransformersSpec& spec, const std::string& directory, size_t positions) {
  constexpr std::string_view kTokenizerFile = "tokenizer_config.json";
  const auto capped = [&](size_t tokens, std::string_view source) -> MaxLength {
    if (tokens <= positions) return {tokens, std::string(source)};
    return {positions, fmt::format("the model's positions ({} asks for {})", source, tokens)};
  };
  if (spec.max_seq_length) return capped(*spec.max_seq_length, spec.max_seq_length_source);

  const std::string& home = spec.transformer_directory.empty() ? directory : spec.transformer_directory;
  const std::optional<ConfigView> config = ConfigView::read_if_exists(join_path(home, kTokenizerFile));
  // Tokenizers without a limit say 1e30.
  if (!config || !config->has("model_max_length") ||
      config->number("model_max_length") > static_cast<double>(kMaxTokens)) {
    return {positions, "the model's positions"};
  }
  return capped(static_cast<size_t>(config->integer("model_max_length", 1, kMaxTokens)), kTokenizerFile);
}

}  // namespace wde
