// The size of an image, from the head of its file alone.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace wde {

struct ImageSize {
  size_t width = 0, height = 0;
};

// As a JPEG's or PNG's header says; nothing if the file is neither or ends before its size.
std::optional<ImageSize> image_size(std::string_view file);

}  // namespace wde
