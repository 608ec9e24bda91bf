// The operations of gemm_int8-inl.h on NEON's vectors, but for broadcast and dot: what the products of signed bytes
// (dotprod) and of mixed ones (i8mm) share. Included inside their namespaces. 6 rows x 16 columns: 24 of 32 registers.

using IntVector = int32x4_t;
using FloatVector = float32x4_t;
constexpr size_t kLanes = 4, kTileVectors = 4, kTileRows = 6, kTogether = 4;
constexpr bool kRounds = false;

inline IntVector load(const int32_t* p) { return vld1q_s32(p); }
inline IntVector load_weights(const int8_t* p) { return vreinterpretq_s32_s8(vld1q_s8(p)); }
inline IntVector broadcast_int(int32_t x) { return vdupq_n_s32(x); }
inline IntVector broadcast_bytes(const uint8_t* p) {
  int32_t four = 0;
  __builtin_memcpy(&four, p, 4);
  return vdupq_n_s32(four);
}
inline IntVector multiply(IntVector a, IntVector b) { return vmulq_s32(a, b); }
inline FloatVector to_float(IntVector x) { return vcvtq_f32_s32(x); }
inline FloatVector zero() { return vdupq_n_f32(0.0f); }
inline FloatVector set(float x) { return vdupq_n_f32(x); }
inline FloatVector multiply(FloatVector a, FloatVector b) { return vmulq_f32(a, b); }
inline FloatVector multiply_add(FloatVector a, FloatVector b, FloatVector c) { return vfmaq_f32(c, a, b); }
inline FloatVector add(FloatVector a, FloatVector b) { return vaddq_f32(a, b); }
inline FloatVector load_floats(const float* p) { return vld1q_f32(p); }
inline void store(float* p, FloatVector x) { vst1q_f32(p, x); }
inline FloatVector load_some(const float* p, size_t n) {
  float lanes[kLanes] = {};
  for (size_t i = 0; i < n && i < kLanes; ++i) lanes[i] = p[i];
  return vld1q_f32(lanes);
}
inline void store_some(float* p, FloatVector x, size_t n) {
  float lanes[kLanes];
  vst1q_f32(lanes, x);
  for (size_t i = 0; i < n && i < kLanes; ++i) p[i] = lanes[i];
}
