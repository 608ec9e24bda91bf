#include "wde/engine_args.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <utility>

#include "base/registry.h"
#include "wde/result.h"

namespace wde {

namespace {

using Kind = ArgSpec::Kind;

const ArgSpec& spec(std::string_view name) {
  for (const ArgSpec& s : EngineArgs::table()) {
    if (s.name == name) return s;
  }
  std::vector<std::string> known;
  for (const ArgSpec& s : EngineArgs::table()) known.push_back(s.name);
  throw UsageError(fmt::format("unknown setting '{}'; known: {}", name, join_names(known)));
}

void check(const ArgSpec& s, std::string_view value, std::string_view where) {
  if (s.kind == Kind::kChoice && std::find(s.choices.begin(), s.choices.end(), value) == s.choices.end()) {
    throw UsageError(fmt::format("{} is '{}', expected one of: {}", where, value, join_names(s.choices)));
  }
  if (s.kind == Kind::kInteger && !value.empty()) {
    int64_t number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc() || end != value.data() + value.size() || number < s.minimum || number > s.maximum) {
      throw UsageError(
          fmt::format("{} is '{}', expected a whole number from {} to {}", where, value, s.minimum, s.maximum));
    }
  }
}

}  // namespace

std::string ArgSpec::environment_variable() const {
  std::string out = "WDE_";
  for (char c : name) out += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

const std::vector<ArgSpec>& EngineArgs::table() {
  static const std::vector<ArgSpec> specs = {
      {"model", "",
       "directory of the model (config.json, tokenizer.json, model.safetensors and, for an embedder, modules.json), or "
       "its name on the Hugging Face Hub: owner/name[@revision], downloaded once"},
      {"task", "embed",
       "what the engine answers: embed, token_embed, score, classify, token_classify, sparse, multi_vector, all, "
       "tokenize"},
      {"max-length",
       "",
       "cut texts to this many tokens, special ones included (default: what the model's files say)",
       Kind::kInteger,
       {},
       1,
       1 << 24},
      {"prompt", "", "text put before every input"},
      {"prompt-name", "", "the same, by its name in config_sentence_transformers.json (query, passage, ...)"},
      {"template", "auto", "how a language model that reranks is asked: auto, none, qwen3, gemma"},
      {"pooling",
       "auto",
       "how token vectors become one; auto: what the model's files say",
       Kind::kChoice,
       {"auto", "cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"}},
      {"image-resize",
       "auto",
       "whose arithmetic resizes images; auto: torchvision's for CLIPImageProcessorFast and processor_config.json, "
       "else "
       "Pillow's",
       Kind::kChoice,
       {"auto", "pillow", "torchvision"}},
      {"dtype",
       "float32",
       "number format of the layers' weights: bfloat16 halves their memory, int8 is the fastest (see "
       "docs/precision.md)",
       Kind::kChoice,
       {"float32", "bfloat16", "int8"}},
      {"float32-layers", "",
       "with another --dtype, what stays in float32 all the same: numbers of layers, or parts of tensor names, "
       "separated by commas"},
      {"attention", "auto", "auto: what the model's config says", Kind::kChoice, {"auto", "causal", "bidirectional"}},
      {"attn-backend", "", "attention backend (default: the workflow's; see `wde models`)"},
      {"scheduler", "", "how waiting texts become batches (default: the workflow's; of `wde serve`: fair)"},
      {"batch-time",
       "20",
       "with --scheduler fair: milliseconds that a batch takes a worker at most while other requests wait",
       Kind::kInteger,
       {},
       1,
       60'000},
      {"bulk-share",
       "5",
       "with --scheduler fair: percent of the workers that requests of a later priority always have",
       Kind::kInteger,
       {},
       0,
       50},
      {"executor", "", "how batches are spread over workers (default: the workflow's)"},
      {"workflow", "", "the list of modules to use (default: the one that the model's architecture has for the task)"},
      {"set", "",
       "modules by hand, seam=name, several separated by commas; `wde models` lists the seams and their modules: "
       "model_input_builder=encoder"},
      {"adapter", "",
       "directories or names on the Hub of LoRA adapters (PEFT) to merge into the weights, in this order, separated by "
       "commas; none: not even the one in the model's own directory"},
      {"lora-task", "", "which of the model's own adapters to use (jina-embeddings-v3: retrieval.query, ...)"},
      {"plugin", "", "shared object with modules of your own to load first; several: separated by colons"},
      {"workers", "", "worker threads (default: the cores that this process may use)", Kind::kInteger, {}, 1, 1024},
      {"pack-cache", "",
       "directory that keeps the packed weights: the next start maps them instead of packing, and processes share "
       "their memory"},
      {"trace", "", "write what every thread did when to this file, in Chrome's trace format"},
      {"max-batch-tokens",
       "16384",
       "tokens of a batch at most, of which the engine takes as many as stay in a core's cache; a longer text is a "
       "batch "
       "of its own",
       Kind::kInteger,
       {},
       1,
       1 << 24},
  };
  return specs;
}

EngineArgs& EngineArgs::set(std::string_view name, std::string_view value) {
  const ArgSpec& s = spec(name);
  check(s, value, "--" + s.name);
  values_[s.name] = value;
  return *this;
}

EngineArgs& EngineArgs::read_environment() {
  for (const ArgSpec& s : table()) {
    if (values_.contains(s.name)) continue;
    const std::string variable = s.environment_variable();
    if (const char* value = std::getenv(variable.c_str())) {
      check(s, value, variable);
      values_[s.name] = value;
    }
  }
  return *this;
}

EngineArgs& EngineArgs::on_download(DownloadCallback callback) {
  download_callback_ = std::move(callback);
  return *this;
}

bool EngineArgs::is_set(std::string_view name) const { return values_.contains(spec(name).name); }

const std::string& EngineArgs::get(std::string_view name) const {
  auto it = values_.find(name);
  return it != values_.end() ? it->second : spec(name).default_value;
}

std::optional<int64_t> EngineArgs::get_integer(std::string_view name) const {
  const std::string& text = get(name);
  if (text.empty()) return std::nullopt;
  int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);  // checked by set()
  return number;
}

}  // namespace wde
