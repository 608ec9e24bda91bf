// JPEG by libjpeg-turbo, with its defaults, which are Pillow's: the accurate integer DCT and fancy upsampling.
#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <string>

#include <jpeglib.h>

#include "input/decode_image.h"

namespace wde {
namespace {

// Encoders make a dozen. Every scan of a progressive file goes over all of its pixels.
constexpr int kMaxScans = 100;

// Whatever has a destructor lives here: the library leaves by longjmp.
struct JpegDecoder {
  jpeg_decompress_struct info = {};
  jpeg_error_mgr errors = {};
  jpeg_source_mgr source = {};
  jpeg_progress_mgr progress = {};
  std::jmp_buf failed;
  char message[JMSG_LENGTH_MAX] = {};
  Result<DecodedImage> image = DecodedImage{};
  std::vector<uint8_t> row;

  JpegDecoder() = default;
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;
  ~JpegDecoder() { jpeg_destroy_decompress(&info); }

  static JpegDecoder& of(j_common_ptr info) { return *static_cast<JpegDecoder*>(info->client_data); }

  [[noreturn]] void fail(const char* why) {
    std::snprintf(message, sizeof message, "%s", why);
    std::longjmp(failed, 1);
  }

  void connect(std::string_view file) {
    info.err = jpeg_std_error(&errors);
    info.client_data = this;
    errors.error_exit = [](j_common_ptr common) {
      JpegDecoder& self = of(common);
      self.errors.format_message(common, self.message);
      std::longjmp(self.failed, 1);
    };
    errors.emit_message = [](j_common_ptr, int) {};  // Pillow does not heed warnings either
    source.next_input_byte = reinterpret_cast<const JOCTET*>(file.data());
    source.bytes_in_buffer = file.size();
    source.init_source = [](j_decompress_ptr) {};
    source.term_source = [](j_decompress_ptr) {};
    source.resync_to_restart = jpeg_resync_to_restart;
    source.fill_input_buffer = [](j_decompress_ptr decompress) -> boolean {
      of(reinterpret_cast<j_common_ptr>(decompress)).fail("the file is truncated");
    };
    source.skip_input_data = [](j_decompress_ptr decompress, long count) {
      JpegDecoder& self = of(reinterpret_cast<j_common_ptr>(decompress));
      if (count <= 0) return;
      if (static_cast<size_t>(count) > self.source.bytes_in_buffer) self.fail("the file is truncated");
      self.source.next_input_byte += count;
      self.source.bytes_in_buffer -= static_cast<size_t>(count);
    };
    progress.progress_monitor = [](j_common_ptr common) {
      JpegDecoder& self = of(common);
      if (self.info.input_scan_number > kMaxScans) self.fail("it has too many scans");
    };
  }

  // False: `message` says why, or `image` has the error.
  bool run() {
    if (setjmp(failed) != 0) return false;
    jpeg_create_decompress(&info);
    info.src = &source;
    info.progress = &progress;
    jpeg_read_header(&info, TRUE);
    image = blank_image(info.image_width, info.image_height);
    if (!image.ok()) return true;
    switch (info.num_components) {
      case 1:
        info.out_color_space = JCS_GRAYSCALE;
        break;
      case 3:
        info.out_color_space = JCS_RGB;
        break;
      case 4:
        info.out_color_space = JCS_CMYK;
        break;
      default:
        fail("it has a number of colours that is not supported, expected 1, 3 or 4");
    }
    jpeg_start_decompress(&info);
    row.resize(size_t{info.output_width} * static_cast<size_t>(info.output_components));
    uint8_t* out = image.value().rgb.data();
    while (info.output_scanline < info.output_height) {
      JSAMPROW rows[1] = {row.data()};
      jpeg_read_scanlines(&info, rows, 1);
      convert_row(out);
      out += size_t{info.output_width} * 3;
    }
    return true;
  }

  void convert_row(uint8_t* out) const {
    const size_t width = info.output_width;
    const uint8_t* in = row.data();
    if (info.output_components == 3) {
      std::copy_n(in, width * 3, out);
    } else if (info.output_components == 1) {
      for (size_t x = 0; x < width; ++x) out[3 * x] = out[3 * x + 1] = out[3 * x + 2] = in[x];
    } else {
      // Adobe's files have the inverse of each ink, and Pillow takes all files for Adobe's.
      for (size_t x = 0; x < width; ++x, in += 4) {
        for (size_t c = 0; c < 3; ++c) {
          const uint32_t product = (255u - in[c]) * in[3] + 128;
          out[3 * x + c] = static_cast<uint8_t>(in[3] - (((product >> 8) + product) >> 8));
        }
      }
    }
  }
};

}  // namespace

Result<DecodedImage> decode_jpeg(std::string_view file) {
  JpegDecoder decoder;
  decoder.connect(file);
  if (!decoder.run()) return bad_image("JPEG", decoder.message);
  return std::move(decoder.image);
}

}  // namespace wde
