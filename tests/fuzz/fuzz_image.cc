// Image files: any bytes, and the same behind the beginning of a JPEG and of a PNG, decoded, resized and cropped.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "input/resize_image.h"

namespace {

void read(const std::string& file) {
  const auto image = wde::decode_image(file);
  if (!image.ok()) {
    if (image.error().message.empty()) std::abort();
    return;
  }
  const wde::DecodedImage& pixels = image.value();
  if (pixels.rgb.size() != pixels.width * pixels.height * 3) std::abort();
  for (const auto rounding : {wde::ImageRounding::kPillow, wde::ImageRounding::kTorchvision}) {
    wde::ImageSpec spec;
    spec.shortest_edge = 16;
    spec.crop_height = spec.crop_width = 20;
    spec.rounding = rounding;
    const auto prepared = wde::prepare_image(pixels, spec);
    if (prepared.ok() && prepared.value().rgb.size() != 20 * 20 * 3) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  read(bytes);
  read("\xff\xd8\xff" + bytes);
  read("\x89PNG\r\n\x1a\n" + bytes);
  return 0;
}
