// AVX2 without VNNI: bytes are multiplied to pairs in 16 bits, which hold 2 x 255 x 63 but not 2 x 255 x 127: weights
// have 7 bits. 4 rows x 16 columns: 8 sums, and room for the products on their way.
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

inline IntVector dot(IntVector sum, IntVector a, IntVector b) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), _mm256_set1_epi16(1)));
}

#include "kernels/gemm_int8-inl.h"

constexpr Int8Kernel kKernel = {"AVX2", 63, kTileCols, strip};
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
