// NEON with i8mm (ARMv8.6, Graviton 3, Apple M2): products of unsigned with signed bytes.
#include "kernels/int8_tiles.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#include <hwy/base.h>

#include <array>
#include <utility>

HWY_PUSH_ATTRIBUTES("arch=armv8.2-a+dotprod+i8mm")
namespace wde::kernels {
namespace {
#include "kernels/int8_neon-inl.h"
constexpr int32_t kByteZero = 0;

inline IntVector broadcast(const uint8_t* p) { return broadcast_bytes(p); }
inline IntVector dot(IntVector sum, IntVector a, IntVector b) {
  return vusdotq_s32(sum, vreinterpretq_u8_s32(a), vreinterpretq_s8_s32(b));
}

#include "kernels/gemm_int8-inl.h"

constexpr Int8Kernel kKernel = {"I8MM", kTileCols, strip};
}  // namespace
}  // namespace wde::kernels
HWY_POP_ATTRIBUTES

namespace wde::kernels {
const Int8Kernel* int8_i8mm() { return &kKernel; }
}  // namespace wde::kernels
#endif
