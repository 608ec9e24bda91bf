#include "model/repository_code.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "loader/json_file.h"

namespace wde {
namespace {

// Parts of "file.Class": code whose mathematics the models of this folder have.
constexpr std::array<std::string_view, 15> kKnownCode = {
    ".JinaBert",       "modeling.New",        ".Gte",          ".NomicBert",  ".EuroBert",
    ".XLMRobertaLoRA", "modeling_qwen.Qwen2", ".LlamaEncoder", ".MistralEnc", ".Qwen2Enc",
    ".LlamaBi",        ".MistralBi",          ".Qwen2Bi",      ".Qwen3Bi",    ".XLMRobertaFlash"};

}  // namespace

std::string repository_code(const ConfigView& config) {
  if (!config.has("auto_map") || !config.json().at("auto_map").is_object()) return "";
  std::string code;
  for (const auto& [name, value] : config.json().at("auto_map").items()) {
    if (!name.starts_with("AutoModel") || !value.is_string()) continue;
    if (code.empty() || name == "AutoModel") code = value.get<std::string>();
  }
  const size_t repository = code.rfind("--");  // "owner/repository--file.Class"
  return repository == std::string::npos ? code : code.substr(repository + 2);
}

std::vector<std::string> notes_on_architecture(const ConfigView& config, const ModelSpec& spec) {
  std::vector<std::string> notes;
  const std::string architecture = config_architecture(config), code = repository_code(config);
  const auto& names = spec.architectures;
  const bool by_type = !architecture.empty() && std::find(names.begin(), names.end(), architecture) == names.end();
  if (by_type) {
    notes.push_back(fmt::format("{}: the architecture {} is not known; taken by its model_type, as AutoModel does: {}",
                                config.file(), quote(architecture), names.front()));
  }
  const bool known = std::any_of(kKnownCode.begin(), kKnownCode.end(),
                                 [&](std::string_view part) { return code.find(part) != std::string::npos; });
  if (!code.empty() && !known) {
    notes.push_back(fmt::format("{}: the model's code {} belongs to the repository and is not run; computed as {}",
                                config.file(), quote(code), by_type ? names.front() : architecture));
  }
  return notes;
}

}  // namespace wde
