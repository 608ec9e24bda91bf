// AMX: Intel's tiles (Sapphire Rapids on). A tile is at most 16 rows of 64 bytes; one instruction adds the product of
// two of them to a third.
#pragma once

#include "kernels/gemm_bf16.h"

namespace wde::kernels {

// Whether this CPU multiplies tiles of bytes, of bfloat16, and Linux gives us their registers: it must be asked, once a
// process, and says yes from 5.16 on.
bool amx_int8() noexcept;
bool amx_bf16() noexcept;

// What gemm_bf16_pairs() is where bf16_kernel() is AMX-BF16. The products of 32 neighbours along k are summed by
// themselves, the even ones apart from the odd ones (Intel's manual, TDPBF16PS), so the last bits are not those of
// AVX512-BF16.
void gemm_bf16_amx(const Bf16Rows& a, const uint16_t* packed_b, float* c, size_t ldc, size_t m, size_t n, size_t k,
                   const GemmEpilogue& epilogue) noexcept;

}  // namespace wde::kernels
