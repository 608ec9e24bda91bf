// An image on its way from the input stage to a model's tower: resized and cropped, still in bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace wde {

// What each byte of each channel becomes: rescaled and normalised.
using PixelValues = std::array<std::array<float, 256>, 3>;

struct Pixels {
  size_t size = 0;                            // pixels of an edge
  std::vector<uint8_t> rgb;                   // [size, size, 3]
  std::shared_ptr<const PixelValues> values;  // of all images of an engine
};

}  // namespace wde
