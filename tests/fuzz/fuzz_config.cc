// The JSON readers on arbitrary files: the input is cut at bytes 0x1e into the files of a model directory, in the order
// of kFiles; an empty part stands for the valid file, so that hostile content also meets readers behind valid ones.
// Only LoadError may come out.
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>

#include "loader/config.h"
#include "loader/rope_config.h"
#include "loader/sentence_transformers.h"
#include "loader/weights.h"
#include "wde/result.h"

namespace {

struct File {
  std::string_view name;
  std::string_view valid;
};
constexpr File kFiles[] = {
    {"config.json",
     R"({"hidden_size": 4, "architectures": ["BertModel"], "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}})"},
    {"modules.json",
     R"([{"path": "", "type": "s.Transformer"}, {"path": "1_Pooling", "type": "s.Pooling"}, {"path": "2_Dense", "type": "s.Dense"},
                         {"path": "3_Normalize", "type": "s.Normalize"}])"},
    {"1_Pooling/config.json", R"({"embedding_dimension": 4, "pooling_mode": ["cls", "mean"]})"},
    {"2_Dense/config.json",
     R"({"in_features": 8, "out_features": 2, "activation_function": "torch.nn.modules.linear.Identity"})"},
    {"sentence_bert_config.json", R"({"max_seq_length": null, "do_lower_case": false})"},
    {"config_sentence_transformers.json", R"({"prompts": {"query": "q: "}, "default_prompt_name": "query"})"},
    {"tokenizer_config.json", R"({"model_max_length": 512})"},
    {"model.safetensors.index.json", R"({"weight_map": {}})"},
    {"artifact.metadata", R"({"query_maxlen": 32, "doc_maxlen": 180, "mask_punctuation": true})"},
    {"3_Normalize/config.json", R"({"module_input_name": "sentence_embedding"})"},
};
constexpr char kSeparator = 0x1e;

struct Directory {
  std::filesystem::path path;
  Directory() {
    path = std::filesystem::temp_directory_path() / ("wde-fuzz-config-" + std::to_string(::getpid()));
    std::filesystem::create_directories(path / "1_Pooling");
    std::filesystem::create_directories(path / "2_Dense");
    std::filesystem::create_directories(path / "3_Normalize");
  }
  ~Directory() {
    std::error_code error;
    std::filesystem::remove_all(path, error);
  }
};

void write_if_changed(const std::filesystem::path& file, std::string_view content,
                      std::optional<std::string>& written) {
  if (written == content) return;
  std::ofstream(file, std::ios::binary).write(content.data(), static_cast<std::streamsize>(content.size()));
  written = content;
}

template <class Call>
void allow_load_error(Call&& call) {
  try {
    call();
  } catch (const wde::LoadError& error) {
    if (std::string_view(error.what()).empty()) std::abort();
  }
}

void use_every_getter(const wde::ConfigView& config, int depth) {
  for (const std::string& key : config.keys()) {
    allow_load_error([&] { (void)config.integer(key, 0, 100); });
    allow_load_error([&] { (void)config.number_or(key, 0); });
    allow_load_error([&] { (void)config.boolean_or(key, false); });
    allow_load_error([&] { (void)config.string(key); });
    allow_load_error([&] { (void)config.strings(key); });
    if (depth < 3) {
      allow_load_error([&] { use_every_getter(config.object(key), depth + 1); });
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Directory directory;
  static std::optional<std::string> written[std::size(kFiles)];
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  for (const File& file : kFiles) {
    const size_t end = std::min(rest.find(kSeparator), rest.size());
    const std::string_view part = end == 0 ? file.valid : rest.substr(0, end);
    write_if_changed(directory.path / file.name, part, written[static_cast<size_t>(&file - kFiles)]);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }

  const std::string path = directory.path.string();
  allow_load_error([&] {
    const wde::ConfigView config = wde::ConfigView::read(path + "/config.json");
    use_every_getter(config, 0);
    allow_load_error([&] { (void)wde::config_rope(config); });
    allow_load_error([&] { (void)wde::config_rope(config, {"full_attention"}); });
    allow_load_error([&] { (void)wde::config_dtype(config); });
    allow_load_error([&] { (void)wde::config_architecture(config); });
    allow_load_error([&] { (void)wde::config_model_type(config); });
  });
  allow_load_error([&] { (void)wde::find_transformer_directory(path); });
  wde::SentenceTransformersSpec spec;
  allow_load_error([&] {
    spec = wde::read_sentence_transformers(path, 4);
    for (const wde::PostModule& post : spec.post) {
      // What is handed out must lie in the model's directory.
      if (post.kind == wde::PostModule::Kind::kDense && !post.dense.directory.starts_with(path)) std::abort();
    }
  });
  allow_load_error([&] { (void)wde::read_stanford_colbert(path); });
  allow_load_error([&] {
    if (wde::resolve_max_length(spec, path, 128).tokens > 128) std::abort();
  });
  allow_load_error([&] { (void)wde::Weights::open(path); });
  return 0;
}
