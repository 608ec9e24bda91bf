// GEMM on weights in float16, as checkpoints have them: they become float32 in the tile, and the operations on them are
// gemm()'s. The result is, to the last bit, what gemm() gives for the same numbers; the memory is half.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/gemm.h"

namespace wde::kernels {

// Of a number that a float16 holds, or that is not finite.
uint16_t to_f16(float x) noexcept;

// As pack_weight, with that precondition, into packed_floats(k, n) halves: the panels are gemm()'s.
void pack_weight_f16(const float* w, size_t n, size_t k, size_t first_column, uint16_t* packed) noexcept;

void gemm_f16(const float* a, size_t lda, const uint16_t* packed_b, float* c, size_t ldc, size_t m, size_t n, size_t k,
              const GemmEpilogue& epilogue) noexcept;

// Whether gemm_f16 and gemm_bf16 are as fast as gemm here. Not with SSE4 and less, which has no conversion from float16
// (Highway's takes infinities and NaN for numbers there) and too few registers for the other.
bool widening_is_free();

}  // namespace wde::kernels
