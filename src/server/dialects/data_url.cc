#include "server/dialects/data_url.h"

#include <fmt/format.h>

#include <array>
#include <cstdint>

namespace wde::server {
namespace {

constexpr std::string_view kScheme = "data:image/";

constexpr std::array<int8_t, 256> make_digits() {
  std::array<int8_t, 256> digits = {};
  for (int8_t& digit : digits) digit = -1;
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < kDigits.size(); ++i) digits[static_cast<unsigned char>(kDigits[i])] = static_cast<int8_t>(i);
  return digits;
}

// False: not base64.
bool decode(std::string_view text, std::string& out) {
  static constexpr std::array<int8_t, 256> kDigits = make_digits();
  for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  if (text.empty() || text.size() % 4 == 1) return false;
  out.reserve(text.size() / 4 * 3 + 2);
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int8_t digit = kDigits[static_cast<unsigned char>(c)];
    if (digit < 0) return false;
    bits = bits << 6 | static_cast<uint32_t>(digit);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out += static_cast<char>(bits >> count & 0xff);
  }
  return true;
}

}  // namespace

Image image_of(std::string_view text, const std::string& where) {
  const auto refuse = [&](std::string_view demand) {
    return ApiError(Fault::kInvalid, fmt::format("`{}` {}", where, demand), where);
  };
  if (text.starts_with("data:")) {
    const size_t comma = text.find(',');
    if (!text.starts_with(kScheme) || comma == std::string_view::npos || !text.substr(0, comma).ends_with(";base64"))
      throw refuse("must be a data URL of an image: data:image/png;base64,… or data:image/jpeg;base64,…");
    text.remove_prefix(comma + 1);
  } else if (text.substr(0, 16).find("://") != std::string_view::npos) {
    throw refuse("is an address, and this server fetches nothing: send the image as data:image/png;base64,…");
  }
  Image image;
  if (!decode(text, image.file)) throw refuse("is not base64");
  return image;
}

void take_images(const ModelFacts& model, const std::string& where, std::vector<Request>& requests) {
  if (!model.info.images) return;
  for (Request& request : requests) {
    const auto* text = std::get_if<std::string>(&request.input);
    if (text == nullptr || !text->starts_with(kScheme)) continue;
    Image image = image_of(*text, where);
    request.input = std::move(image);
  }
}

}  // namespace wde::server
