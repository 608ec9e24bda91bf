// Resizing and cropping of images, bit for bit what Pillow or torchvision make of them.
#pragma once

#include "input/decode_image.h"
#include "input/image_spec.h"

namespace wde {

// Resized and cropped as `spec` says; what a crop has beyond the image is black.
Result<DecodedImage> prepare_image(const DecodedImage& image, const ImageSpec& spec);

}  // namespace wde
