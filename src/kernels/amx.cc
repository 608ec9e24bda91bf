#include "kernels/amx.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace wde::kernels {

#if defined(__x86_64__) && defined(__linux__)
namespace {
struct Amx {
  bool int8 = false, bf16 = false;
};

// Bits and numbers: Intel's manual (CPUID leaf 7, XCR0) and Linux' arch/x86/include/uapi/asm/prctl.h.
Amx find() noexcept {
  constexpr unsigned kBf16 = 1u << 22, kTile = 1u << 24, kInt8 = 1u << 25, kOsxsave = 1u << 27;
  constexpr unsigned kTileState = 3u << 17;  // configuration and data
  constexpr long kAskForState = 0x1023, kTileData = 18;
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0 || (ecx & kOsxsave) == 0) return {};
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0 || (edx & kTile) == 0) return {};
  unsigned low = 0, high = 0;
  asm("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if ((low & kTileState) != kTileState || syscall(SYS_arch_prctl, kAskForState, kTileData) != 0) return {};
  return {(edx & kInt8) != 0, (edx & kBf16) != 0};
}

const Amx& here() noexcept {
  static const Amx amx = find();
  return amx;
}
}  // namespace

bool amx_int8() noexcept { return here().int8; }
bool amx_bf16() noexcept { return here().bf16; }
#else
bool amx_int8() noexcept { return false; }
bool amx_bf16() noexcept { return false; }
#endif

}  // namespace wde::kernels
