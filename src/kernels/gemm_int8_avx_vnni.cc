// AVX-VNNI (client CPUs, Zen 5): 6 rows x 16 columns, 12 of 16 registers.
#include "kernels/int8_tiles.h"

#if defined(__x86_64__)
#include <hwy/base.h>
#include <immintrin.h>

#include <array>
#include <utility>

HWY_PUSH_ATTRIBUTES("avx2,fma,avxvnni")
namespace wde::kernels {
namespace {
#include "kernels/int8_avx2-inl.h"
constexpr size_t kTileRows = 6, kTogether = 4;
constexpr int32_t kByteZero = 0;

inline IntVector load_weights(const int8_t* p) { return load(p); }
// See gemm_int8_avx512.cc.
inline IntVector dot(IntVector sum, IntVector a, IntVector b) {
  asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));
  return sum;
}

#include "kernels/gemm_int8-inl.h"

constexpr Int8Kernel kKernel = {"AVX-VNNI", kTileCols, strip};
}  // namespace
}  // namespace wde::kernels
HWY_POP_ATTRIBUTES

namespace wde::kernels {
const Int8Kernel* int8_avx_vnni() { return &kKernel; }
}  // namespace wde::kernels
#endif
