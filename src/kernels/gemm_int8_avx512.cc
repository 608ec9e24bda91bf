// AVX-512 VNNI: 14 rows x 32 columns, 28 of 32 registers.
#include "kernels/int8_tiles.h"

#if defined(__x86_64__)
#include <hwy/base.h>
#include <immintrin.h>

#include <array>
#include <utility>

HWY_PUSH_ATTRIBUTES("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")
namespace wde::kernels {
namespace {
#include "kernels/avx512-inl.h"
constexpr size_t kTileVectors = 2, kTileRows = 14, kTogether = 4;
constexpr int32_t kByteZero = 0;

inline IntVector load_weights(const int8_t* p) { return load(p); }
// Of the intrinsic, which ties its sum to a copy, GCC 12 keeps the sums in memory.
inline IntVector dot(IntVector sum, IntVector a, IntVector b) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
  return sum;
}

#include "kernels/gemm_int8-inl.h"

constexpr Int8Kernel kKernel = {"AVX512-VNNI", kTileCols, strip, false, kRounds};
}  // namespace
}  // namespace wde::kernels
HWY_POP_ATTRIBUTES

namespace wde::kernels {
const Int8Kernel* int8_avx512_vnni() { return &kKernel; }
}  // namespace wde::kernels
#endif
