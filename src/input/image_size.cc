#include "wde/image.h"

namespace wde {
namespace {

size_t byte_at(std::string_view file, size_t at) { return static_cast<unsigned char>(file[at]); }
size_t two_at(std::string_view file, size_t at) { return byte_at(file, at) << 8 | byte_at(file, at + 1); }
size_t four_at(std::string_view file, size_t at) { return two_at(file, at) << 16 | two_at(file, at + 2); }

// The first chunk must be IHDR, which begins with width and height.
std::optional<ImageSize> png_size(std::string_view file) {
  constexpr size_t kWidth = 16;
  if (file.size() < kWidth + 8) return std::nullopt;
  return ImageSize{four_at(file, kWidth), four_at(file, kWidth + 4)};
}

// Segments one after the other until that of the frame: marker, length, precision, height, width.
std::optional<ImageSize> jpeg_size(std::string_view file) {
  for (size_t at = 2; at + 9 <= file.size();) {
    if (byte_at(file, at) != 0xFF) return std::nullopt;
    const size_t marker = byte_at(file, at + 1);
    if (marker == 0xFF) {  // fills up
      ++at;
      continue;
    }
    const bool frame = marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
    if (frame) return ImageSize{two_at(file, at + 7), two_at(file, at + 5)};
    const bool bare = marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8);
    at += bare ? 2 : 2 + two_at(file, at + 2);
  }
  return std::nullopt;
}

}  // namespace

std::optional<ImageSize> image_size(std::string_view file) {
  if (file.starts_with("\x89PNG\r\n\x1a\n")) return png_size(file);
  if (file.starts_with("\xFF\xD8")) return jpeg_size(file);
  return std::nullopt;
}

}  // namespace wde
