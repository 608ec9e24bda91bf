// GEMM on weights in bfloat16, which have half the bytes; activations, sums and result are float32. The weights become
// float32 in the tile, and the operations on them are gemm()'s: the result is, to the last bit, what gemm() gives for
// the rounded weights. A checkpoint that is in bfloat16 on disk loses nothing.
//
// Panels as gemm()'s, but two rows of B side by side: [k / 2][16 columns][2].
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/gemm.h"

namespace wde::kernels {

constexpr size_t packed_bf16_halves(size_t k, size_t n) {
  return (n + kPanelCols - 1) / kPanelCols * kPanelCols * ((k + 1) / 2 * 2);
}

// To the nearest, ties to even; a NaN stays one.
uint16_t to_bf16(float x) noexcept;

// As pack_weight, rounding.
void pack_weight_bf16(const float* w, size_t n, size_t k, size_t first_column, uint16_t* packed) noexcept;

void gemm_bf16(const float* a, size_t lda, const uint16_t* packed_b, float* c, size_t ldc, size_t m, size_t n, size_t k,
               const GemmEpilogue& epilogue) noexcept;

}  // namespace wde::kernels
