// to_float32: the stored floating-point types to the one the engine packs from.
#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <vector>

#include "loader/weights.h"

namespace wde {
namespace {

constexpr size_t kPieceElements = size_t{1} << 15;  // that are read at once to be converted: of the L2 cache's size

// All bits set if left >= right; both below 2^31. GCC keeps a conditional expression as a branch and then does not
// vectorise.
inline uint32_t mask_at_least(uint32_t left, uint32_t right) { return ~(0 - ((left - right) >> 31)); }

// Exact for all 65536 patterns.
inline uint32_t bits_from_half(uint32_t half) {
  constexpr uint32_t kBias = (127 - 15) << 23;  // between the two types' exponents
  const uint32_t magnitude = half & 0x7fff;
  const uint32_t normal = (magnitude << 13) + kBias + (kBias & mask_at_least(magnitude, 0x7c00));  // infinity and NaN
  // Subnormal: a multiple of 2^-24, by way of an integer so that the thread's flush-to-zero mode does not matter.
  const auto subnormal = std::bit_cast<uint32_t>(static_cast<float>(static_cast<int32_t>(magnitude)) * 0x1p-24F);
  const uint32_t is_normal = mask_at_least(magnitude, 0x0400);
  return (normal & is_normal) | (subnormal & ~is_normal) | (half & 0x8000) << 16;
}

inline uint32_t bits_from_bfloat(uint32_t bfloat) { return bfloat << 16; }

// In blocks of a fixed size: GCC's -O2 vectorises no loop of unknown length. The source may be unaligned, hence memcpy.
template <uint32_t (*convert)(uint32_t)>
void convert_halves(const std::byte* source, size_t count, float* out) {
  constexpr size_t kBlock = 32;
  uint16_t halves[kBlock] = {};
  uint32_t bits[kBlock];
  size_t i = 0;
  for (; i + kBlock <= count; i += kBlock) {
    std::memcpy(halves, source + 2 * i, sizeof(halves));
    for (size_t j = 0; j < kBlock; ++j) bits[j] = convert(halves[j]);
    std::memcpy(out + i, bits, sizeof(bits));
  }
  if (i == count) return;
  std::memcpy(halves, source + 2 * i, 2 * (count - i));
  for (size_t j = 0; j < kBlock; ++j) bits[j] = convert(halves[j]);
  std::memcpy(out + i, bits, 4 * (count - i));
}

}  // namespace

void to_float32(Dtype dtype, const std::byte* source, size_t count, float* out) noexcept {
  if (count == 0) return;
  switch (dtype) {
    case Dtype::kF32:
      std::memcpy(out, source, 4 * count);
      return;
    case Dtype::kF16:
      convert_halves<bits_from_half>(source, count, out);
      return;
    case Dtype::kBF16:
      convert_halves<bits_from_bfloat>(source, count, out);
      return;
    case Dtype::kI8:
      for (size_t i = 0; i < count; ++i) out[i] = static_cast<float>(static_cast<int8_t>(source[i]));
      return;
    case Dtype::kF64:
      for (size_t i = 0; i < count; ++i) {
        double value = 0;
        std::memcpy(&value, source + 8 * i, sizeof(value));
        out[i] = static_cast<float>(value);
      }
      return;
    default:
      std::fill_n(out, count, std::numeric_limits<float>::quiet_NaN());
  }
}

void to_float32(const TensorView& tensor, size_t begin, size_t count, float* out) {
  const size_t size = dtype_size(tensor.dtype);
  if (tensor.data != nullptr || size == 0) {
    return to_float32(tensor.dtype, tensor.data + begin * size, count, out);
  }
  if (tensor.dtype == Dtype::kF32)
    return read_bytes(tensor, begin * size, count * size, reinterpret_cast<std::byte*>(out));
  std::vector<std::byte> piece(std::min(count, kPieceElements) * size);
  for (size_t done = 0; done < count; done += kPieceElements) {
    const size_t now = std::min(count - done, kPieceElements);
    read_bytes(tensor, (begin + done) * size, now * size, piece.data());
    to_float32(tensor.dtype, piece.data(), now, out + done);
  }
}

}  // namespace wde
