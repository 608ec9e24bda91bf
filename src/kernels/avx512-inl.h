// Operations on 64-byte vectors: those that int8_store-inl.h and gemm_int8-inl.h ask for, but for what is of one
// kernel. Included inside namespaces of their own, with AVX-512 switched on.

using IntVector = __m512i;
using FloatVector = __m512;
constexpr size_t kLanes = 16;
constexpr bool kRounds = true;

inline IntVector load(const void* p) { return _mm512_loadu_si512(p); }
inline IntVector broadcast_int(int32_t x) { return _mm512_set1_epi32(x); }
inline IntVector broadcast(const uint8_t* p) {
  int32_t four = 0;
  __builtin_memcpy(&four, p, 4);
  return _mm512_set1_epi32(four);
}
inline IntVector multiply(IntVector a, IntVector b) { return _mm512_mullo_epi32(a, b); }
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
