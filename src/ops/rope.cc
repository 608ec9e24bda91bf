#include "ops/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <fmt/format.h>

#include "wde/result.h"

namespace wde {
namespace {

constexpr size_t kMaxHalf = 512;  // head_dim up to 1,024

// float32, as torch computes it: theta^(2 i / dim) for i = 0, 1, …, dim / 2 - 1.
std::vector<float> periods(double theta, size_t half) {
  std::vector<float> out(half);
  const auto dim = static_cast<float>(2 * half);
  for (size_t i = 0; i < half; ++i) out[i] = std::pow(static_cast<float>(theta), static_cast<float>(2 * i) / dim);
  return out;
}

std::vector<float> inverse(std::vector<float> values) {
  for (float& v : values) v = 1.0f / v;
  return values;
}

double yarn_mscale(double factor, double mscale) { return factor <= 1 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0; }

std::vector<float> yarn(const RopeConfig& c, size_t half) {
  const auto dim = static_cast<double>(2 * half);
  const auto correction = [&](double rotations) {
    return dim * std::log(c.original_positions / (rotations * 2 * std::numbers::pi)) / (2 * std::log(c.theta));
  };
  double low = correction(c.beta_fast), high = correction(c.beta_slow);
  if (c.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dim - 1);
  if (low == high) high += 0.001;
  std::vector<float> out = periods(c.theta, half);
  for (size_t i = 0; i < half; ++i) {
    const auto ramp =
        static_cast<float>(std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0));  // 1: interpolate
    const float extrapolated = 1.0f / out[i], interpolated = 1.0f / (static_cast<float>(c.factor) * out[i]);
    out[i] = interpolated * ramp + extrapolated * (1.0f - ramp);
  }
  return out;
}

std::vector<float> llama3(const RopeConfig& c, size_t half) {
  std::vector<float> out = inverse(periods(c.theta, half));
  const double low_wavelength = c.original_positions / c.low_freq_factor,
               high_wavelength = c.original_positions / c.high_freq_factor;
  for (float& f : out) {
    const double wavelength = 2 * std::numbers::pi / static_cast<double>(f);
    if (wavelength > low_wavelength) {
      f = static_cast<float>(f / c.factor);
    } else if (wavelength >= high_wavelength) {
      const double smooth =
          (c.original_positions / wavelength - c.low_freq_factor) / (c.high_freq_factor - c.low_freq_factor);
      f = static_cast<float>((1 - smooth) * f / c.factor + smooth * f);
    }
  }
  return out;
}

std::vector<float> scaled_by(const RopeConfig& c, const std::vector<double>& factors, size_t half) {
  if (factors.size() != half) {
    throw LoadError(
        fmt::format("longrope: expected {} factors, one for each pair of dimensions, found {}", half, factors.size()));
  }
  std::vector<float> out = periods(c.theta, half);
  for (size_t i = 0; i < half; ++i) out[i] = 1.0f / (static_cast<float>(factors[i]) * out[i]);
  return out;
}

// Dynamic NTK: the base grows with the sequence's length beyond what the model was trained for.
double stretched_theta(const RopeConfig& c, size_t length, size_t half) {
  const auto dim = static_cast<double>(2 * half);
  const double ratio = c.factor * static_cast<double>(length) / c.original_positions - (c.factor - 1);
  return c.theta * std::pow(ratio, dim / (dim - 2));
}

}  // namespace

Rope::Rope(const RopeConfig& config, size_t rotary_dim, kernels::RotaryPairs pairs)
    : config_(config), half_(rotary_dim / 2), pairs_(pairs) {
  if (rotary_dim < 2 || rotary_dim % 2 != 0 || half_ > kMaxHalf) {
    throw LoadError(
        fmt::format("the rotary embedding turns {} dimensions of a head, expected an even number from 2 to {}",
                    rotary_dim, 2 * kMaxHalf));
  }
  const RopeConfig& c = config_;
  if (c.type == "yarn") {
    frequencies_ = yarn(c, half_);
    const double both = yarn_mscale(c.factor, c.mscale) / yarn_mscale(c.factor, c.mscale_all_dim);
    attention_factor_ = static_cast<float>(c.mscale != 0 && c.mscale_all_dim != 0 ? both : yarn_mscale(c.factor, 1.0));
  } else if (c.type == "llama3") {
    frequencies_ = llama3(c, half_);
  } else if (c.type == "longrope") {
    frequencies_ = scaled_by(c, c.short_factor, half_);
    long_frequencies_ = scaled_by(c, c.long_factor, half_);
    if (c.factor > 1)
      attention_factor_ = static_cast<float>(std::sqrt(1 + std::log(c.factor) / std::log(c.original_positions)));
  } else if (c.type == "ntk") {  // Alibaba's GTE: fixed, whatever the length
    frequencies_ = inverse(periods(c.theta * c.factor, half_));
    const auto divisor = static_cast<float>(std::pow(c.factor, 1.0 / static_cast<double>(half_)));
    for (float& f : frequencies_) f /= divisor;
  } else {
    frequencies_ = inverse(periods(c.theta, half_));
    if (c.type == "linear")
      for (float& f : frequencies_) f /= static_cast<float>(c.factor);
  }
  if (c.attention_factor > 0) attention_factor_ = static_cast<float>(c.attention_factor);
}

bool Rope::stretched(size_t length) const {
  return depends_on_length() && static_cast<double>(length) > config_.original_positions;
}

void Rope::angles(size_t position, size_t length, float* cosines, float* sines) const noexcept {
  const bool stretch = stretched(length);
  const bool dynamic = stretch && long_frequencies_.empty();
  const auto theta = dynamic ? static_cast<float>(stretched_theta(config_, length, half_)) : 0.0f;
  for (size_t i = 0; i < half_; ++i) {
    float frequency = stretch && !dynamic ? long_frequencies_[i] : frequencies_[i];
    if (dynamic) frequency = 1.0f / std::pow(theta, static_cast<float>(2 * i) / static_cast<float>(2 * half_));
    const float angle = static_cast<float>(position) * frequency;
    cosines[i] = std::cos(angle) * attention_factor_;
    sines[i] = std::sin(angle) * attention_factor_;
  }
}

void Rope::reserve(size_t max_seqlen) {
  if (stretched(max_seqlen)) max_seqlen = static_cast<size_t>(config_.original_positions);
  // Positions beyond it are computed where they are needed.
  constexpr size_t kMostFloats = size_t{1} << 24;  // 64 MB: 131,072 positions of 128 dimensions
  max_seqlen = std::min(max_seqlen, kMostFloats / (2 * half_));
  if (max_seqlen <= positions_) return;
  table_.resize(max_seqlen * 2 * half_);
  for (size_t p = positions_; p < max_seqlen; ++p) angles(p, 0, &table_[2 * p * half_], &table_[(2 * p + 1) * half_]);
  positions_ = max_seqlen;
}

void Rope::apply(View<float> x, size_t heads, size_t head_dim, std::span<const int32_t> positions,
                 std::span<const int32_t> cu_seqlens, Range rows) const noexcept {
  const auto first = std::upper_bound(cu_seqlens.begin(), cu_seqlens.end(), static_cast<int32_t>(rows.begin));
  auto sequence = static_cast<size_t>(first - cu_seqlens.begin()) - 1;
  float own[2 * kMaxHalf];
  for (size_t row = rows.begin; row < rows.end; ++row) {
    while (static_cast<size_t>(cu_seqlens[sequence + 1]) <= row) ++sequence;
    const auto length = static_cast<size_t>(cu_seqlens[sequence + 1] - cu_seqlens[sequence]);
    const auto position = static_cast<size_t>(positions[row]);
    const float *cosines = own, *sines = own + half_;
    if (position < positions_ && !stretched(length)) {
      cosines = &table_[2 * position * half_];
      sines = cosines + half_;
    } else {
      angles(position, length, own, own + half_);
    }
    kernels::rotate(x.row(row), heads, head_dim, cosines, sines, half_, pairs_);
  }
}

}  // namespace wde
