// JPEG and PNG files -> RGB, the same bytes that Pillow and, for what is transparent, transformers' convert_to_rgb
// give. Hostile files end in an error: too many pixels, too many scans, truncated, not an image.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "wde/result.h"

namespace wde {

struct DecodedImage {
  size_t width = 0, height = 0;
  std::vector<uint8_t> rgb;  // [height, width, 3]
};

// A progressive JPEG needs up to nine bytes a pixel while it is read.
constexpr size_t kMaxImagePixels = size_t{1} << 26;

Result<DecodedImage> decode_image(std::string_view file);

// By one decoder each; decode_image looks at the first bytes.
Result<DecodedImage> decode_jpeg(std::string_view file);
Result<DecodedImage> decode_png(std::string_view file);

// The space for the pixels, or why there is none.
Result<DecodedImage> blank_image(size_t width, size_t height);
Error bad_image(const char* kind, std::string_view why);

}  // namespace wde
