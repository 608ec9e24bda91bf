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
using IntVector = __m512i;
using FloatVector = __m512;
constexpr size_t kLanes = 16, kTileVectors = 2, kTileRows = 14, kTogether = 4;
constexpr int32_t kByteZero = 0;
constexpr bool kRounds = true;

inline IntVector load(const void* p) { return _mm512_loadu_si512(p); }
inline IntVector load_weights(const int8_t* p) { return load(p); }
inline IntVector broadcast_int(int32_t x) { return _mm512_set1_epi32(x); }
inline IntVector broadcast(const uint8_t* p) {
  int32_t four = 0;
  __builtin_memcpy(&four, p, 4);
  return _mm512_set1_epi32(four);
}
inline IntVector multiply(IntVector a, IntVector b) { return _mm512_mullo_epi32(a, b); }
// Of the intrinsic, which ties its sum to a copy, GCC 12 keeps the sums in memory.
inline IntVector dot(IntVector sum, IntVector a, IntVector b) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
  return sum;
}
// The intrinsic warns of an uninitialised vector in GCC 12.
inline FloatVector to_float(IntVector x) { return __builtin_convertvector(reinterpret_cast<__v16si>(x), FloatVector); }
inline FloatVector zero() { return _mm512_setzero_ps(); }
inline FloatVector set(float x) { return _mm512_set1_ps(x); }
inline FloatVector multiply(FloatVector a, FloatVector b) { return _mm512_mul_ps(a, b); }
inline FloatVector multiply_add(FloatVector a, FloatVector b, FloatVector c) { return _mm512_fmadd_ps(a, b, c); }
inline FloatVector add(FloatVector a, FloatVector b) { return _mm512_add_ps(a, b); }
inline FloatVector load_floats(const float* p) { return _mm512_loadu_ps(p); }
inline void store(float* p, FloatVector x) { _mm512_storeu_ps(p, x); }
inline __mmask16 first(size_t n) { return static_cast<__mmask16>(n >= 16 ? 0xffff : (1u << n) - 1); }
inline FloatVector load_some(const float* p, size_t n) { return _mm512_maskz_loadu_ps(first(n), p); }
inline void store_some(float* p, FloatVector x, size_t n) { _mm512_mask_storeu_ps(p, first(n), x); }
// AVX512-BF16, which not every CPU with VNNI has: int8_rounds() asks.
inline __m256i to_bf16(FloatVector x) {
  __m256i halves;
  asm("vcvtneps2bf16 %1, %0" : "=v"(halves) : "v"(x));
  return halves;
}
inline void store(uint16_t* p, FloatVector x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), to_bf16(x)); }
inline void store_some(uint16_t* p, FloatVector x, size_t n) { _mm256_mask_storeu_epi16(p, first(n), to_bf16(x)); }

#include "kernels/gemm_int8-inl.h"

constexpr Int8Kernel kKernel = {"AVX512-VNNI", kTileCols, strip, false, kRounds};
}  // namespace
}  // namespace wde::kernels
HWY_POP_ATTRIBUTES
#endif

namespace wde::kernels {
const Int8Kernel* int8_avx512_vnni() {
#if defined(__x86_64__)
  return &kKernel;
#else
  return nullptr;
#endif
}
}  // namespace wde::kernels
