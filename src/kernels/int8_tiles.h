// What gemm_int8.cc and the files of its instruction sets share.
#pragma once

#include "kernels/gemm_int8.h"

namespace wde::kernels {

// Rows of C of one strip of at most `tile_cols` columns.
struct Int8Strip {
  QuantizedRows a;
  PackedInt8 b;
  const int8_t* ahead;  // what to pull into the L2 cache meanwhile: the next strip's weights, or b's own
  float* c;             // one of the two
  uint16_t* rounded;    // to bfloat16; then there is no residual
  size_t ldc;
  const float* bias;      // [cols rounded up to 16] or nullptr
  const float* residual;  // or nullptr
  size_t residual_stride;
  size_t m, cols, groups;
};

struct Int8Kernel {
  const char* name;
  size_t tile_cols;
  void (*strip)(const Int8Strip& strip);
  bool pairs = false;   // its operands are in pairs, see gemm_int8.h
  bool rounds = false;  // its strip takes `rounded`, where the CPU has AVX512-BF16
};

// Each is there on its own architecture.
const Int8Kernel* int8_amx();
const Int8Kernel* int8_avx512_vnni();
const Int8Kernel* int8_avx_vnni();
const Int8Kernel* int8_avx2();
const Int8Kernel* int8_i8mm();
const Int8Kernel* int8_dotprod();

}  // namespace wde::kernels
