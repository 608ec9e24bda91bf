// Which instruction sets the kernels are compiled for. Include before any Highway header.
// SVE is left out: its sizeless vectors cannot be the accumulator arrays of the GEMM tile (NEON serves those machines).
// SSSE3 and AVX3_DL add nothing for float32.
#pragma once

#include <hwy/detect_targets.h>

#undef HWY_DISABLED_TARGETS
#define WDE_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_SSSE3 | HWY_AVX3_DL)
#ifdef WDE_FEW_TARGETS  // the sanitizers' builds: instrumented kernels take minutes to compile
#define HWY_DISABLED_TARGETS (WDE_DISABLED_TARGETS | HWY_SSE4)
#else
#define HWY_DISABLED_TARGETS WDE_DISABLED_TARGETS
#endif
