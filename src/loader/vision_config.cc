#include "loader/vision_config.h"

#include <fmt/format.h>

#include <string>

#include <nlohmann/json.hpp>

#include "wde/result.h"

namespace wde {

ConfigView tower_config(const ConfigView& config, const char* key) {
  // Old checkpoints say it twice, and then the second one counts.
  const std::string old = std::string(key) + "_dict";
  if (!config.has(key) && !config.has(old)) return ConfigView::from_json(nlohmann::json::object(), config.file());
  nlohmann::json merged = config.has(key) ? config.object(key).json() : nlohmann::json::object();
  if (config.has(old)) merged.update(config.object(old).json());
  return ConfigView::from_json(merged, config.file());
}

VisionShape read_vision_shape(const ConfigView& config) {
  constexpr int64_t kMaxImageSize = 2048;
  const ConfigView vision = tower_config(config, "vision_config");
  VisionShape shape;
  shape.image_size = static_cast<size_t>(vision.integer_or("image_size", 224, 1, kMaxImageSize));
  shape.patch_size = static_cast<size_t>(vision.integer_or("patch_size", 32, 1, kMaxImageSize));
  if (shape.patch_size > shape.image_size) {
    throw LoadError(fmt::format("{}: patch_size ({}) must not be larger than image_size ({})", config.file(),
                                shape.patch_size, shape.image_size));
  }
  if (vision.integer_or("num_channels", 3, 1, 1024) != 3)
    throw LoadError(config.file() + ": num_channels of vision_config must be 3");
  return shape;
}

}  // namespace wde
