// AVX2 without VNNI: bytes are multiplied to pairs in 16 bits, which do not hold 2 x 255 x 127. So what is multiplied
// is byte - 128: its absolute value, with its sign on the weight, and 2 x 128 x 127 fits. (Weights of 7 bits would save
// a quarter of the instructions, but the vectors are too far from float32's.) 4 rows x 16 columns: 8 sums, and room for
// the products on their way.
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
constexpr size_t kTileRows = 4;
constexpr int32_t kByteZero = 128;

inline IntVector dot(IntVector sum, IntVector a, IntVector b) {
  const IntVector signed_a = _mm256_xor_si256(a, _mm256_set1_epi8(-128));
  const IntVector pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(signed_a), _mm256_sign_epi8(b, signed_a));
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

#include "kernels/gemm_int8-inl.h"

constexpr Int8Kernel kKernel = {"AVX2", kTileCols, strip};
}  // namespace
}  // namespace wde::kernels
HWY_POP_ATTRIBUTES
#endif

namespace wde::kernels {
const Int8Kernel* int8_avx2() {
#if defined(__x86_64__)
  return &kKernel;
#else
  return nullptr;
#endif
}
}  // namespace wde::kernels
