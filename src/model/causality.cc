#include "model/causality.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "loader/json_file.h"
#include "wde/result.h"

namespace wde {
namespace {

// "Alibaba-NLP/gte-Qwen2-7B-instruct--modeling_qwen.Qwen2Model" or without the repository: code in the repository
// itself.
bool is_bidirectional_code(std::string_view reference) {
  const size_t repository = reference.find("--");
  if (repository != std::string_view::npos) reference.remove_prefix(repository + 2);
  if (reference == "modeling_qwen.Qwen2Model") return true;  // gte-Qwen1.5 and gte-Qwen2
  // LLM2Vec: modeling_mistral_encoder.MistralEncoderModel, modeling_llama_encoder.LlamaEncoderModel, …
  const size_t dot = reference.find('.');
  return dot != std::string_view::npos && reference.starts_with("modeling_") &&
         reference.substr(0, dot).ends_with("_encoder") && reference.ends_with("EncoderModel");
}

}  // namespace

std::optional<bool> config_bidirectional_attention(const ConfigView& config) {
  constexpr const char* kKey = "use_bidirectional_attention";
  if (!config.has(kKey)) return std::nullopt;
  if (!config.json().at(kKey).is_string()) return config.boolean(kKey);
  const std::string which = config.string(kKey);
  if (which != "all" && which != "vision")
    throw LoadError(
        fmt::format("{}: {} is {}, expected true, false, \"all\" or \"vision\"", config.file(), kKey, quote(which)));
  return which == "all";
}

Causality resolve_causality(const std::string& flag, const ConfigView& config, bool causal_by_default,
                            const std::string& directory) {
  if (flag == "causal" || flag == "bidirectional") return {flag == "bidirectional", "--attention"};
  if (config.has("is_causal")) return {!config.boolean("is_causal"), "is_causal in config.json"};
  if (const std::optional<bool> both = config_bidirectional_attention(config))
    return {*both, "use_bidirectional_attention in config.json"};
  if (config.has("causal")) return {!config.boolean("causal"), "causal in config.json"};
  if (!causal_by_default) return {true, "the architecture is bidirectional"};
  if (config_model_type(config) == "llama_bidirec") return {true, "model_type in config.json"};
  const auto code = config.object_if_exists("auto_map");
  if (code && code->has("AutoModel") && code->json().at("AutoModel").is_string() &&
      is_bidirectional_code(code->string("AutoModel")))
    return {true, "auto_map in config.json: " + code->string("AutoModel")};
  const std::string beside = config.file().substr(0, config.file().find_last_of('/') + 1);
  constexpr const char* kLlm2Vec = "llm2vec_config.json";
  if (file_exists(beside + kLlm2Vec) || (!directory.empty() && file_exists(join_path(directory, kLlm2Vec))))
    return {true, "llm2vec_config.json is there"};
  return {false, "the architecture's default"};
}

}  // namespace wde
