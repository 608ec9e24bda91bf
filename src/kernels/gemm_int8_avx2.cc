// AVX2 without VNNI: products of bytes come in pairs of 16 bits, which do not hold 2 x 255 x 127, and moving signs from
// one operand to the other (byte - 128) takes as many instructions as float32. So both are multiplied as numbers of 16
// bits, in pairs, to sums of 32: half of float32's instructions. Weights are bytes in memory, and widened once for the
// rows of a tile. (7 bits for either would allow products of bytes, but the vectors are too far from float32's.)
// 6 rows x 16 columns: 12 of 16 registers.
#include "kernels/int8_tiles.h"

#if defined(__x86_64__)
#include <hwy/base.h>
#include <immintrin.h>

#include <array>
#include <utility>

HWY_PUSH_ATTRIBUTES("avx2,fma")
namespace wde::kernels {
namespace {
#include "kernels/int8_avx2-inl.h"
constexpr size_t kTileRows = 6, kTogether = 2;
constexpr int32_t kByteZero = 0;

inline IntVector load_weights(const int8_t* p) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
inline IntVector dot(IntVector sum, IntVector a, IntVector b) { return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)); }

#include "kernels/gemm_int8-inl.h"

constexpr Int8Kernel kKernel = {"AVX2", kTileCols, strip, true};
}  // namespace
}  // namespace wde::kernels
HWY_POP_ATTRIBUTES

namespace wde::kernels {
const Int8Kernel* int8_avx2() { return &kKernel; }
}  // namespace wde::kernels
#endif
