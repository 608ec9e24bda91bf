// How a model wants its images: preprocessor_config.json of every generation, as CLIPImageProcessor reads it.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "stage/image.h"

namespace wde {

enum class ImageFilter { kBilinear, kBicubic };
// Whose sums of bytes: Pillow's weights have 22 bits behind the point, those of torchvision as many as 16 bit numbers
// allow. They differ by one in a few pixels.
enum class ImageRounding { kPillow, kTorchvision };

struct ImageSpec {
  bool resize = true, crop = true;
  size_t shortest_edge = 0;  // 0: to exactly height x width
  size_t height = 0, width = 0;
  size_t crop_height = 0, crop_width = 0;
  ImageFilter filter = ImageFilter::kBicubic;
  ImageRounding rounding = ImageRounding::kPillow;
  std::shared_ptr<const PixelValues> values;
};

// `rounding`: auto, pillow or torchvision. Throws LoadError: no such file, or something in it that is not supported.
ImageSpec read_image_spec(const std::string& directory, const std::string& rounding);

}  // namespace wde
