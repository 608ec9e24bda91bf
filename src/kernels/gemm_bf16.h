// GEMM on weights in bfloat16, which have half the bytes; sums and result are float32. Two ways:
//
// gemm_bf16: activations stay float32. The weights become float32 in the tile, and the operations on them are gemm()'s:
// the result is, to the last bit, what gemm() gives for the rounded weights. About as fast as gemm().
//
// gemm_bf16_pairs: activations are rounded to bfloat16 too, and the CPU multiplies pairs of both (AVX512-BF16: at twice
// the rate of gemm() on AMD from Zen 4, at half of it on Intel), or tiles of them (AMX: Intel from Sapphire Rapids).
// bf16_choice.h says which of the two ways is used. Without these instructions it is right and slow.
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

// Rows of activations in bfloat16.
struct Bf16Rows {
  uint16_t* data = nullptr;
  size_t stride = 0;  // halves
};
// Whole cache lines, an odd number of them (see padded_stride), with room for a vector behind the last half.
constexpr size_t bf16_row_stride(size_t k) { return ((k + 16 + 31) / 32 | 1) * 32; }

void round_rows(const float* x, size_t x_stride, size_t rows, size_t k, const Bf16Rows& out) noexcept;
// Precondition on x86 where the kernels run on AVX-512: the CPU has AVX512-BF16.
void gemm_bf16_pairs(const Bf16Rows& a, const uint16_t* packed_b, float* c, size_t ldc, size_t m, size_t n, size_t k,
                     const GemmEpilogue& epilogue) noexcept;

}  // namespace wde::kernels
