// Separable resampling with a filter that widens with the reduction. Only what the crop leaves is computed: an image of
// one row would else become a very long one.
#include "input/resize_image.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/team.h"

namespace wde {
namespace {

constexpr size_t kMaxResizedEdge = size_t{1} << 18;

// Outputs [begin, begin + count) of an edge that is resized from `in` to `out` pixels.
struct Edge {
  size_t in = 0, out = 0, begin = 0, count = 0;
};

// What an output pixel is made of: inputs from `first` on, weights times 2^bits.
struct Taps {
  size_t first = 0, offset = 0, count = 0;
};
struct TapTable {
  std::vector<Taps> taps;
  std::vector<int32_t> values;
  int bits = 0;
};

double filter_value(ImageFilter filter, double x) {
  x = std::abs(x);
  if (filter == ImageFilter::kBilinear) return x < 1.0 ? 1.0 - x : 0.0;
  constexpr double a = -0.5;
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
  if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
  return 0.0;
}

class EdgeFilter {
 public:
  EdgeFilter(const Edge& edge, ImageFilter filter)
      : filter_(filter), in_(edge.in), scale_(static_cast<double>(edge.in) / static_cast<double>(edge.out)) {
    stretch_ = std::max(scale_, 1.0);
    support_ = (filter == ImageFilter::kBilinear ? 1.0 : 2.0) * stretch_;
  }

  // The normalised weights of one output pixel in `weights`; returns the first input.
  size_t weigh(size_t output, std::vector<double>& weights) const {
    const double center = (static_cast<double>(output) + 0.5) * scale_;
    const auto first = static_cast<size_t>(std::max(0.0, center - support_ + 0.5));
    const size_t last = std::min(static_cast<size_t>(std::floor(center + support_ + 0.5)), in_);
    weights.clear();
    double sum = 0;
    for (size_t i = first; i < last; ++i) {
      const double distance = (static_cast<double>(i) - center + 0.5) * (1.0 / stretch_);
      weights.push_back(filter_value(filter_, distance));
      sum += weights.back();
    }
    if (sum != 0) {
      for (double& weight : weights) weight /= sum;
    }
    return first;
  }

 private:
  ImageFilter filter_;
  size_t in_;
  double scale_, stretch_ = 1, support_ = 0;
};

// As many as leave the largest weight a 16 bit number.
int torchvision_bits(const EdgeFilter& filter, size_t outputs) {
  double largest = 0;
  std::vector<double> weights;
  for (size_t x = 0; x < outputs; ++x) {
    filter.weigh(x, weights);
    for (const double weight : weights) largest = std::max(largest, weight);
  }
  int bits = 0;
  while (bits < 22 && static_cast<int>(std::floor(0.5 + largest * (1 << (bits + 1)))) < (1 << 15)) ++bits;
  return bits;
}

TapTable weights_of(const Edge& edge, const ImageSpec& spec) {
  const EdgeFilter filter(edge, spec.filter);
  TapTable out;
  out.bits = spec.rounding == ImageRounding::kPillow ? 22 : torchvision_bits(filter, edge.out);
  std::vector<double> weights;
  for (size_t x = edge.begin; x < edge.begin + edge.count; ++x) {
    Taps taps;
    taps.first = filter.weigh(x, weights);
    taps.offset = out.values.size();
    taps.count = weights.size();
    for (const double weight : weights)
      out.values.push_back(static_cast<int32_t>((weight < 0 ? -0.5 : 0.5) + weight * (1 << out.bits)));
    out.taps.push_back(taps);
  }
  return out;
}

// The sum of taps of three channels, `stride` bytes apart.
void convolve(const TapTable& weights, const Taps& taps, const uint8_t* in, size_t stride, uint8_t* out) {
  const int32_t half = weights.bits > 0 ? 1 << (weights.bits - 1) : 0;
  int32_t sum[3] = {half, half, half};
  const int32_t* weight = weights.values.data() + taps.offset;
  for (size_t i = 0; i < taps.count; ++i, in += stride) {
    for (size_t c = 0; c < 3; ++c) sum[c] += in[c] * weight[i];
  }
  for (size_t c = 0; c < 3; ++c) out[c] = static_cast<uint8_t>(std::clamp(sum[c] >> weights.bits, 0, 255));
}

// Rows [first, last) of the image, each narrowed to the edge's outputs.
DecodedImage resample_rows(const DecodedImage& image, const TapTable& table, size_t first, size_t last) {
  const size_t width = table.taps.size();
  DecodedImage out{width, last - first, std::vector<uint8_t>((last - first) * width * 3)};
  for (size_t y = first; y < last; ++y) {
    const uint8_t* in = image.rgb.data() + y * image.width * 3;
    uint8_t* row = out.rgb.data() + (y - first) * width * 3;
    for (size_t x = 0; x < width; ++x) convolve(table, table.taps[x], in + table.taps[x].first * 3, 3, row + x * 3);
  }
  return out;
}

// Columns [first, last) of the image, whose row 0 is the input's row `top`.
DecodedImage resample_columns(const DecodedImage& image, const TapTable& table, size_t top, size_t first, size_t last) {
  const size_t width = last - first, height = table.taps.size(), stride = image.width * 3;
  DecodedImage out{width, height, std::vector<uint8_t>(width * height * 3)};
  for (size_t y = 0; y < height; ++y) {
    const uint8_t* in = image.rgb.data() + (table.taps[y].first - top) * stride + first * 3;
    uint8_t* row = out.rgb.data() + y * width * 3;
    for (size_t x = 0; x < width; ++x) convolve(table, table.taps[y], in + x * 3, stride, row + x * 3);
  }
  return out;
}

// The inputs [first, last) that any of the outputs needs.
Range inputs_of(const TapTable& table) {
  Range out{SIZE_MAX, 0};
  for (const Taps& taps : table.taps) {
    out.begin = std::min(out.begin, taps.first);
    out.end = std::max(out.end, taps.first + taps.count);
  }
  return out;
}

// Between the two passes the sums are rounded to bytes, so their order counts. Pillow 13 begins with the columns where
// that removes more than twice as many rows as the other pass removes columns; before, and torchvision: always the
// rows.
bool columns_first(const Edge& x, const Edge& y, ImageRounding rounding) {
  if (rounding != ImageRounding::kPillow || y.out >= y.in) return false;
  const auto removed = [](const Edge& edge) { return static_cast<int64_t>(edge.in) - static_cast<int64_t>(edge.out); };
  return removed(y) > 2 * removed(x);
}

DecodedImage resample(const DecodedImage& image, const Edge& x_edge, const Edge& y_edge, const ImageSpec& spec) {
  TapTable across = weights_of(x_edge, spec);
  const TapTable down = weights_of(y_edge, spec);
  if (columns_first(x_edge, y_edge, spec.rounding)) {
    const Range columns = inputs_of(across);
    const DecodedImage low = resample_columns(image, down, 0, columns.begin, columns.end);
    for (Taps& taps : across.taps) taps.first -= columns.begin;
    return resample_rows(low, across, 0, low.height);
  }
  const Range rows = inputs_of(down);
  return resample_columns(resample_rows(image, across, rows.begin, rows.end), down, rows.begin, 0, x_edge.count);
}

// Where the crop's pixel 0 lies on an edge of the resized image; negative: black comes before it.
int64_t crop_begin(size_t resized, size_t crop, ImageRounding rounding) {
  const auto room = static_cast<int64_t>(resized) - static_cast<int64_t>(crop);
  if (room >= 0) return room / 2;
  return rounding == ImageRounding::kPillow ? -((1 - room) / 2) : room / 2;
}

}  // namespace

Result<DecodedImage> prepare_image(const DecodedImage& image, const ImageSpec& spec) {
  size_t width = image.width, height = image.height;
  if (spec.resize && spec.shortest_edge > 0) {
    const double shorter = static_cast<double>(std::min(width, height)),
                 longer = static_cast<double>(std::max(width, height));
    const double scaled = static_cast<double>(spec.shortest_edge) * longer / shorter;
    if (scaled > static_cast<double>(kMaxResizedEdge)) {
      return Error{
          ErrorCode::kInvalidInput,
          fmt::format("the image has {} x {} pixels, which is too narrow to be resized to a shorter edge of {}", width,
                      height, spec.shortest_edge)};
    }
    const bool upright = width <= height;
    (upright ? width : height) = spec.shortest_edge;
    (upright ? height : width) = static_cast<size_t>(scaled);
  } else if (spec.resize) {
    width = spec.width;
    height = spec.height;
  }
  const size_t crop_width = spec.crop ? spec.crop_width : width, crop_height = spec.crop ? spec.crop_height : height;
  Result<DecodedImage> out = blank_image(crop_width, crop_height);
  if (!out.ok()) return out;
  const int64_t left = crop_begin(width, crop_width, spec.rounding),
                top = crop_begin(height, crop_height, spec.rounding);
  const auto edge = [](size_t in, size_t resized, int64_t begin, size_t crop) {
    const auto from = static_cast<size_t>(std::max<int64_t>(begin, 0));
    const auto to = std::min(resized, static_cast<size_t>(begin + static_cast<int64_t>(crop)));
    return Edge{in, resized, from, to - from};
  };
  const DecodedImage part =
      resample(image, edge(image.width, width, left, crop_width), edge(image.height, height, top, crop_height), spec);
  const auto x = static_cast<size_t>(std::max<int64_t>(-left, 0)), y = static_cast<size_t>(std::max<int64_t>(-top, 0));
  for (size_t row = 0; row < part.height; ++row) {
    std::copy_n(part.rgb.data() + row * part.width * 3, part.width * 3,
                out.value().rgb.data() + ((y + row) * crop_width + x) * 3);
  }
  return out;
}

}  // namespace wde
