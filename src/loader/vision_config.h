// The sizes of an image tower, as config.json's vision_config gives them.
#pragma once

#include <cstddef>

#include "loader/config.h"

namespace wde {

struct VisionShape {
  size_t image_size = 0;  // pixels of an edge
  size_t patch_size = 0;
  size_t edge_patches() const { return image_size / patch_size; }
  size_t tokens() const { return 1 + edge_patches() * edge_patches(); }  // and the class token
};

// `config`: the model's. Throws LoadError.
VisionShape read_vision_shape(const ConfigView& config);
// "text_config" or "vision_config": an object, empty if it is not there.
ConfigView tower_config(const ConfigView& config, const char* key);

}  // namespace wde
