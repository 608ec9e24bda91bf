// PNG by libpng. Gamma is ignored, as Pillow does, and what is transparent lies on white, as transformers 5 has it.
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <memory>

#include <png.h>

#include "input/decode_image.h"

namespace wde {
namespace {

constexpr png_alloc_size_t kMaxChunkBytes = png_alloc_size_t{8} << 20;  // texts, profiles: nothing that is used here
constexpr png_uint_32 kMaxChunks = 1000;

// Whatever has a destructor lives here: the library leaves by longjmp.
struct PngDecoder {
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::string_view rest;
  char message[200] = {};
  Result<DecodedImage> image = DecodedImage{};
  std::vector<png_bytep> rows;
  std::vector<uint8_t> wide;  // rows that are not RGB yet

  PngDecoder() = default;
  PngDecoder(const PngDecoder&) = delete;
  PngDecoder& operator=(const PngDecoder&) = delete;
  ~PngDecoder() { png_destroy_read_struct(&png, &info, nullptr); }

  bool connect(std::string_view file) {
    rest = file;
    png = png_create_read_struct(
        PNG_LIBPNG_VER_STRING, this,
        [](png_structp p, png_const_charp why) {
          auto& self = *static_cast<PngDecoder*>(png_get_error_ptr(p));
          std::snprintf(self.message, sizeof self.message, "%s", why);
          png_longjmp(p, 1);
        },
        [](png_structp, png_const_charp) {});
    if (png == nullptr) return false;
    info = png_create_info_struct(png);
    return info != nullptr;
  }

  static void read(png_structp p, png_bytep out, size_t count) {
    auto& self = *static_cast<PngDecoder*>(png_get_io_ptr(p));
    if (count > self.rest.size()) png_error(p, "the file is truncated");
    std::memcpy(out, self.rest.data(), count);
    self.rest.remove_prefix(count);
  }

  // False: `message` says why.
  bool run() {
    if (setjmp(png_jmpbuf(png)) != 0) return false;
    png_set_read_fn(png, this, read);
    png_set_user_limits(png, kMaxImagePixels, kMaxImagePixels);
    png_set_chunk_malloc_max(png, kMaxChunkBytes);
    png_set_chunk_cache_max(png, kMaxChunks);
    png_read_info(png, info);
    const size_t width = png_get_image_width(png, info), height = png_get_image_height(png, info);
    image = blank_image(width, height);
    if (!image.ok()) return true;
    const bool grey16 = png_get_color_type(png, info) == PNG_COLOR_TYPE_GRAY && png_get_bit_depth(png, info) == 16;
    if (!grey16) {
      png_set_expand(png);
      png_set_strip_16(png);
      png_set_gray_to_rgb(png);
    }
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
    const size_t pixel = png_get_rowbytes(png, info) / width;
    if (pixel != 2 && pixel != 3 && pixel != 4) png_error(png, "its rows have a form that is not supported");
    if (pixel != 3) wide.resize(width * height * pixel);
    uint8_t* out = pixel == 3 ? image.value().rgb.data() : wide.data();
    rows.resize(height);
    for (size_t y = 0; y < height; ++y) rows[y] = out + y * width * pixel;
    png_read_image(png, rows.data());
    if (pixel == 2) narrow();
    if (pixel == 4) put_on_white();
    return true;
  }

  // Pillow's alpha_composite, whose sums have seven bits behind the point.
  void put_on_white() {
    std::vector<uint8_t>& rgb = image.value().rgb;
    for (size_t i = 0; i < wide.size() / 4; ++i) {
      const uint32_t alpha = wide[4 * i + 3];
      for (size_t c = 0; c < 3; ++c) {
        const uint32_t sum = 128 * (wide[4 * i + c] * alpha + 255 * (255 - alpha)) + (128u << 7);
        rgb[3 * i + c] = alpha == 0 ? 255 : static_cast<uint8_t>((((sum >> 8) + sum) >> 8) >> 7);
      }
    }
  }

  // Pillow takes 16 bits of grey for numbers that are cut at 255.
  void narrow() {
    std::vector<uint8_t>& rgb = image.value().rgb;
    for (size_t i = 0; i < wide.size() / 2; ++i) {
      const uint8_t value = wide[2 * i] == 0 ? wide[2 * i + 1] : 255;
      rgb[3 * i] = rgb[3 * i + 1] = rgb[3 * i + 2] = value;
    }
  }
};

}  // namespace

Result<DecodedImage> decode_png(std::string_view file) {
  PngDecoder decoder;
  if (!decoder.connect(file)) return Error{ErrorCode::kInternal, "libpng could not be set up"};
  if (!decoder.run()) return bad_image("PNG", decoder.message);
  return std::move(decoder.image);
}

}  // namespace wde
