// NEON with dotprod (ARMv8.2, Graviton 2, Apple M1): products of signed bytes, so the rows' bytes lose 128, and their
// zero points with them.
#include "kernels/int8_tiles.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#include <hwy/base.h>

#include <array>
#include <utility>

HWY_PUSH_ATTRIBUTES("arch=armv8.2-a+dotprod")
namespace wde::kernels {
namespace {
#include "kernels/int8_neon-inl.h"
constexpr int32_t kByteZero = 128;

inline IntVector broadcast(const uint8_t* p) {
  return vreinterpretq_s32_u8(veorq_u8(vreinterpretq_u8_s32(broadcast_bytes(p)), vdupq_n_u8(128)));
}
inline IntVector dot(IntVector sum, IntVector a, IntVector b) {
  return vdotq_s32(sum, vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(b));
}

#include "kernels/gemm_int8-inl.h"

constexpr Int8Kernel kKernel = {"DOTPROD", kTileCols, strip};
}  // namespace
}  // namespace wde::kernels
HWY_POP_ATTRIBUTES

namespace wde::kernels {
const Int8Kernel* int8_dotprod() { return &kKernel; }
}  // namespace wde::kernels
#endif
