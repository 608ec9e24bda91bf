// int8 GEMM: C[m, n] = epilogue(A[m, k] * B[k, n]), both operands of 8 bits, sums in int32, dequantised in the store.
//
// Weights: one scale a column, symmetric, made at load from the float32 weight. Activations: one scale and one zero
// point a row, made from that row alone each time; so nothing is calibrated, and a row's result does not depend on what
// else is in the batch. The integer sums are exact on every instruction set (no kernel saturates) and of the same
// bytes.
//
// B is packed at load: panel p holds columns [16 p, 16 p + 16), in groups of four rows of B: [k / 4][16 columns][4].
// A kernel that multiplies no bytes (AVX2) has both in pairs: B as [k / 2][16 columns][2], A as numbers of 16 bits from
// which the zero point is taken already. What is packed and quantised is in the form of the kernel that is chosen.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/gemm.h"
#include "kernels/gemm_bf16.h"

namespace wde::kernels {

// Above this depth a sum could pass int32: 255 x 127 x 65,536 < 2^31.
inline constexpr size_t kInt8MaxDepth = 65536;

constexpr size_t int8_groups(size_t k) { return (k + 3) / 4; }

// Rows of activations: each is a header and its k numbers behind it, x = scale * (number - zero): bytes, or in pairs
// int16_t with a zero of 0.
struct QuantizedRow {
  float scale;
  int32_t zero;
};
inline constexpr size_t kQuantizedHeader = 64;
// Bytes from row to row, in either form: whole cache lines, an odd number of them (see padded_stride).
constexpr size_t quantized_stride(size_t k) { return ((kQuantizedHeader + 2 * k + 63) / 64 | 1) * 64; }

struct QuantizedRows {
  uint8_t* data = nullptr;
  size_t stride = 0;

  QuantizedRow* header(size_t row) const { return reinterpret_cast<QuantizedRow*>(data + row * stride); }
  uint8_t* bytes(size_t row) const { return data + row * stride + kQuantizedHeader; }
  int16_t* pairs(size_t row) const { return reinterpret_cast<int16_t*>(bytes(row)); }
  QuantizedRows from_row(size_t row) const { return {data + row * stride, stride}; }
};

// Rows of x [rows, k]. A row with a NaN or an infinity gets a scale of NaN, which the product then is. May write
// the whole stride.
void quantize_rows(const float* x, size_t x_stride, size_t rows, size_t k, const QuantizedRows& out) noexcept;

// Views of a packed weight; `scales` and `sums` (of each column's bytes) have n rounded up to 16 elements.
struct PackedInt8 {
  int8_t* weights = nullptr;
  float* scales = nullptr;
  int32_t* sums = nullptr;

  PackedInt8 from_column(size_t column, size_t k) const {  // of a whole panel
    return {weights + column * 4 * int8_groups(k), scales + column, sums + column};
  }
};
constexpr size_t packed_int8_bytes(size_t k, size_t n) {
  return (n + kPanelCols - 1) / kPanelCols * kPanelCols * 4 * int8_groups(k);
}

// As pack_weight.
void pack_weight_int8(const float* w, size_t n, size_t k, size_t first_column, const PackedInt8& packed) noexcept;

void gemm_int8(const QuantizedRows& a, const PackedInt8& b, float* c, size_t ldc, size_t m, size_t n, size_t k,
               const GemmEpilogue& epilogue) noexcept;

// C rounded to bfloat16: what round_rows() would make of gemm_int8()'s, to the last bit. Of the epilogue the bias and
// `next`. Only where int8_rounds().
void gemm_int8_rounded(const QuantizedRows& a, const PackedInt8& b, const Bf16Rows& c, size_t m, size_t n, size_t k,
                       const GemmEpilogue& epilogue) noexcept;
bool int8_rounds() noexcept;

// "AMX-INT8", "AVX512-VNNI", "AVX-VNNI", "AVX2", "I8MM", "DOTPROD" or "PORTABLE" (plain loops, slower than float32):
// the best that this CPU has.
std::string int8_kernel();
bool int8_in_pairs();                      // the form that this kernel has its operands in
std::vector<std::string> int8_compiled();  // best first
std::vector<std::string> int8_runnable();  // of them, those that this CPU has

// The environment variable WDE_INT8_KERNEL names one; a sentence if it is none that runs here, else "".
std::string int8_setting_problem();

// Tests only: pins the kernel to one that is runnable, or back to the best ("").
void force_int8_kernel(const std::string& name);

}  // namespace wde::kernels
