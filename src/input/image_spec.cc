#include "input/image_spec.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "loader/config.h"
#include "loader/json_file.h"
#include "wde/result.h"

namespace wde {
namespace {

constexpr int64_t kMaxEdge = 4096;

size_t edge(const ConfigView& config, std::string_view key) {
  return static_cast<size_t>(config.integer(key, 1, kMaxEdge));
}

// 224 | {"shortest_edge": 224} | {"height": 224, "width": 224}
void read_size(const ConfigView& config, ImageSpec& spec) {
  if (!config.has("size")) {
    spec.shortest_edge = 224;
    return;
  }
  if (!config.json().at("size").is_object()) {
    spec.shortest_edge = edge(config, "size");
    return;
  }
  const ConfigView size = config.object("size");
  for (const char* key : {"longest_edge", "max_height", "max_width"}) {
    if (size.has(key))
      throw LoadError(fmt::format("{}: size has \"{}\", expected \"shortest_edge\", or \"height\" and \"width\"",
                                  config.file(), key));
  }
  if (size.has("shortest_edge")) {
    spec.shortest_edge = edge(size, "shortest_edge");
  } else {
    spec.height = edge(size, "height");
    spec.width = edge(size, "width");
  }
}

void read_crop(const ConfigView& config, ImageSpec& spec) {
  if (!config.has("crop_size")) {
    spec.crop_height = spec.crop_width = 224;
  } else if (config.json().at("crop_size").is_object()) {
    const ConfigView size = config.object("crop_size");
    spec.crop_height = edge(size, "height");
    spec.crop_width = edge(size, "width");
  } else {
    spec.crop_height = spec.crop_width = edge(config, "crop_size");
  }
}

std::array<double, 3> read_three(const ConfigView& config, const char* key, const std::array<double, 3>& fallback) {
  if (!config.has(key)) return fallback;
  const nlohmann::json& list = config.json().at(key);
  std::array<double, 3> out = {};
  bool good = list.is_array() && list.size() == 3;
  for (size_t i = 0; good && i < 3; ++i) {
    good = list[i].is_number();
    if (good) out[i] = list[i].get<double>();
  }
  if (!good) throw LoadError(fmt::format("{}: {} must be a list of three numbers", config.file(), key));
  return out;
}

std::shared_ptr<const PixelValues> read_values(const ConfigView& config) {
  // OpenAI's, the defaults of CLIPImageProcessor.
  const std::array<double, 3> mean = read_three(config, "image_mean", {0.48145466, 0.4578275, 0.40821073}),
                              std = read_three(config, "image_std", {0.26862954, 0.26130258, 0.27577711});
  const double factor = config.boolean_or("do_rescale", true) ? config.number_or("rescale_factor", 1.0 / 255.0) : 1.0;
  const bool normalize = config.boolean_or("do_normalize", true);
  auto values = std::make_shared<PixelValues>();
  for (size_t c = 0; c < 3; ++c) {
    if (normalize && !(std[c] > 0))
      throw LoadError(fmt::format("{}: image_std must be positive, found {}", config.file(), std[c]));
    for (size_t byte = 0; byte < 256; ++byte) {
      const auto scaled = static_cast<float>(static_cast<double>(byte) * factor);
      (*values)[c][byte] = normalize ? (scaled - static_cast<float>(mean[c])) / static_cast<float>(std[c]) : scaled;
    }
  }
  return values;
}

}  // namespace

ImageSpec read_image_spec(const std::string& directory, const std::string& rounding) {
  // Since transformers 5 it may be a part of the processor's file.
  std::optional<ConfigView> config;
  const auto processor = ConfigView::read_if_exists(join_path(directory, "processor_config.json"));
  if (processor) config = processor->object_if_exists("image_processor");
  const bool new_form = config.has_value();
  if (!config) config = ConfigView::read_if_exists(join_path(directory, "preprocessor_config.json"));
  if (!config) throw LoadError(directory + ": expected a preprocessor_config.json, which says how images are resized");
  const std::string type =
      config->string_or("image_processor_type", config->string_or("feature_extractor_type", "CLIPImageProcessor"));
  if (!type.starts_with("CLIPImageProcessor") && type != "CLIPFeatureExtractor")
    throw LoadError(
        fmt::format("{}: the images are prepared by {}, expected CLIPImageProcessor", config->file(), type));
  ImageSpec spec;
  spec.resize = config->boolean_or("do_resize", true);
  spec.crop = config->boolean_or("do_center_crop", true);
  if (config->boolean_or("do_pad", false)) throw LoadError(config->file() + ": do_pad is true, which is not supported");
  read_size(*config, spec);
  read_crop(*config, spec);
  const int64_t resample = config->integer_or("resample", 3, 0, 5);  // PIL.Image.Resampling
  if (resample != 2 && resample != 3)
    throw LoadError(fmt::format("{}: resample is {}, expected 2 (bilinear) or 3 (bicubic)", config->file(), resample));
  spec.filter = resample == 2 ? ImageFilter::kBilinear : ImageFilter::kBicubic;
  const bool fast = new_form || type.ends_with("Fast");
  spec.rounding =
      rounding == "torchvision" || (rounding == "auto" && fast) ? ImageRounding::kTorchvision : ImageRounding::kPillow;
  spec.values = read_values(*config);
  return spec;
}

}  // namespace wde
