// Integers out of bytes that may lie anywhere. Private to src/loader.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace wde {

// `count` <= 8 bytes from `at` on, the lowest first. Precondition: they lie inside.
inline uint64_t read_little_endian(std::string_view bytes, size_t at, size_t count) {
  uint64_t value = 0;
  for (size_t i = 0; i < count; ++i) value |= uint64_t{static_cast<unsigned char>(bytes[at + i])} << (8 * i);
  return value;
}

// The same in two's complement.
inline int64_t read_signed(std::string_view bytes, size_t at, size_t count) {
  if (count == 0) return 0;
  const uint64_t value = read_little_endian(bytes, at, count);
  const uint64_t sign = uint64_t{1} << (8 * count - 1);
  return static_cast<int64_t>((value ^ sign) - sign);
}

}  // namespace wde
