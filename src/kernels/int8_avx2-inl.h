// The operations of gemm_int8-inl.h on 32-byte vectors, but for dot: what AVX2 and AVX-VNNI share. Included inside
// their namespaces.

using IntVector = __m256i;
using FloatVector = __m256;
constexpr size_t kLanes = 8, kTileVectors = 2;
constexpr bool kRounds = false;

inline IntVector load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
inline IntVector broadcast_int(int32_t x) { return _mm256_set1_epi32(x); }
inline IntVector broadcast(const uint8_t* p) {
  int32_t four = 0;
  __builtin_memcpy(&four, p, 4);
  return _mm256_set1_epi32(four);
}
inline IntVector multiply(IntVector a, IntVector b) { return _mm256_mullo_epi32(a, b); }
inline FloatVector to_float(IntVector x) { return _mm256_cvtepi32_ps(x); }
inline FloatVector zero() { return _mm256_setzero_ps(); }
inline FloatVector set(float x) { return _mm256_set1_ps(x); }
inline FloatVector multiply(FloatVector a, FloatVector b) { return _mm256_mul_ps(a, b); }
inline FloatVector multiply_add(FloatVector a, FloatVector b, FloatVector c) { return _mm256_fmadd_ps(a, b, c); }
inline FloatVector add(FloatVector a, FloatVector b) { return _mm256_add_ps(a, b); }
inline FloatVector load_floats(const float* p) { return _mm256_loadu_ps(p); }
inline void store(float* p, FloatVector x) { _mm256_storeu_ps(p, x); }
inline __m256i first(size_t n) {
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n < kLanes ? n : kLanes)), lanes);
}
inline FloatVector load_some(const float* p, size_t n) { return _mm256_maskload_ps(p, first(n)); }
inline void store_some(float* p, FloatVector x, size_t n) { _mm256_maskstore_ps(p, first(n), x); }
