#include "input/decode_image.h"

#include <fmt/format.h>

namespace wde {

Error bad_image(const char* kind, std::string_view why) {
  return {ErrorCode::kInvalidInput, fmt::format("the image cannot be read as {}: {}", kind, why)};
}

Result<DecodedImage> blank_image(size_t width, size_t height) {
  if (width == 0 || height == 0) return Error{ErrorCode::kInvalidInput, "the image has no pixels"};
  if (width > kMaxImagePixels || height > kMaxImagePixels / width) {
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("the image has {} x {} pixels, at most {} are allowed", width, height, kMaxImagePixels)};
  }
  return DecodedImage{width, height, std::vector<uint8_t>(width * height * 3)};
}

Result<DecodedImage> decode_image(std::string_view file) {
  using namespace std::string_view_literals;
  if (file.starts_with("\xff\xd8\xff"sv)) return decode_jpeg(file);
  if (file.starts_with("\x89PNG\r\n\x1a\n"sv)) return decode_png(file);
  if (file.empty()) return Error{ErrorCode::kInvalidInput, "the image is empty, expected a JPEG or PNG file"};
  std::string begin;
  for (const char c : file.substr(0, 8)) begin += fmt::format("{:02x} ", static_cast<unsigned char>(c));
  begin.pop_back();
  return Error{ErrorCode::kInvalidInput,
               fmt::format("the image is neither a JPEG nor a PNG file: it begins with the bytes {}", begin)};
}

}  // namespace wde
