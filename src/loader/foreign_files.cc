#include "loader/foreign_files.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <vector>

#include <fmt/format.h>

namespace wde {
namespace {

struct Format {
  std::string_view ending, name;
};
constexpr std::array kFormats = {Format{".onnx", "ONNX"},    Format{".gguf", "GGUF"},
                                 Format{".ggml", "GGML"},    Format{".h5", "TensorFlow"},
                                 Format{".msgpack", "Flax"}, Format{"openvino_model.bin", "OpenVINO"},
                                 Format{".tflite", "TFLite"}};
constexpr std::array<std::string_view, 7> kOthers = {".safetensors", ".index.json", ".bin", ".pt",
                                                     ".pth",         ".ckpt",       ".npz"};
constexpr std::array<std::string_view, 3> kFolders = {"onnx", "openvino", "gguf"};
constexpr size_t kMaxFiles = 1000;

bool is_weight_like(std::string_view name) {
  const auto ends = [&](std::string_view ending) { return name.ends_with(ending); };
  return std::any_of(kOthers.begin(), kOthers.end(), ends) ||
         std::any_of(kFormats.begin(), kFormats.end(), [&](const Format& format) { return ends(format.ending); });
}

void list(const std::string& directory, const std::string& before, std::set<std::string>& found) {
  std::error_code error;
  for (std::filesystem::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (is_weight_like(name) && found.size() < kMaxFiles) found.insert(before + name);
  }
}

}  // namespace

std::set<std::string> weight_like_files(const std::string& directory) {
  std::set<std::string> found;
  list(directory, "", found);
  for (const std::string_view folder : kFolders)
    list(fmt::format("{}/{}", directory, folder), std::string(folder) + "/", found);
  return found;
}

std::string advice_on_formats(const std::set<std::string>& names) {
  std::vector<std::string_view> formats;
  for (const Format& format : kFormats) {
    const auto fits = [&](const std::string& name) { return name.ends_with(format.ending); };
    if (std::any_of(names.begin(), names.end(), fits)) formats.push_back(format.name);
  }
  if (formats.empty()) return "";
  return fmt::format(
      "; {} {} not read here: take the model that {} made from, with its config.json and model.safetensors",
      fmt::join(formats, " and "), formats.size() == 1 ? "is" : "are",
      formats.size() == 1 ? "this file was" : "these files were");
}

std::string foreign_tokenizer(const std::set<std::string>& names, const std::string& folder) {
  for (const char* name : {"sentencepiece.bpe.model", "spiece.model", "tokenizer.model", "spm.model",
                           "sentencepiece.model", "tekken.json", "tiktoken.model", "bpe.codes"}) {
    std::string path = folder.empty() ? std::string(name) : folder + "/" + name;
    if (names.contains(path)) return path;
  }
  return "";
}

}  // namespace wde
