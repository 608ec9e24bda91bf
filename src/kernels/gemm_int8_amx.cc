// AMX: tiles of 16 rows x 16 columns x 64 bytes, four of them at a time.
#include "kernels/int8_tiles.h"

#if defined(__x86_64__)
#include <hwy/base.h>
#include <immintrin.h>

#include <algorithm>
#include <cstring>

HWY_PUSH_ATTRIBUTES("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")
namespace wde::kernels {
namespace {
#include "kernels/amx-inl.h"
#include "kernels/avx512-inl.h"
#include "kernels/int8_store-inl.h"

template <size_t kRows, size_t kVectors>
inline void store_rows(const Int8Strip& s, size_t row, const uint32_t (*sums)[kPanels * kPanelCols]) {
  IntVector acc[kRows * kVectors];
#pragma GCC unroll 16
  for (size_t r = 0; r < kRows; ++r) {
    const IntVector zero_point = broadcast_int(-s.a.header(row + r)->zero);
#pragma GCC unroll 4
    for (size_t v = 0; v < kVectors; ++v) {
      const IntVector offset = multiply(zero_point, load(s.b.sums + v * kLanes));
      acc[r * kVectors + v] = _mm512_add_epi32(offset, load(sums[r] + v * kLanes));
    }
  }
  store_sums<kRows, kVectors>(s, row, acc);
}

template <size_t kVectors>
inline void store_piece(const Int8Strip& s, size_t row, size_t rows, const AmxSums& sums) {
  constexpr size_t kTogether = 4;
  size_t r = 0;
  for (; r + kTogether <= rows; r += kTogether) store_rows<kTogether, kVectors>(s, row + r, sums.row + r);
  for (; r < rows; ++r) store_rows<1, kVectors>(s, row + r, sums.row + r);
}

void strip(const Int8Strip& s) {
  AmxOperands o{};
  o.a = s.a.bytes(0);
  o.lda = s.a.stride;
  o.b = reinterpret_cast<const uint8_t*>(s.b.weights);
  o.units = s.groups;
  o.panels = s.cols > kPanelCols ? 2 : 1;
  o.ahead = reinterpret_cast<const uint8_t*>(s.ahead);
  multiply_pieces<Product::kBytes>(o, s.m, [&](size_t row, size_t rows, const AmxSums& sums) {
    o.panels > 1 ? store_piece<2>(s, row, rows, sums) : store_piece<1>(s, row, rows, sums);
  });
}

constexpr Int8Kernel kKernel = {"AMX-INT8", kPanels* kPanelCols, strip, false, kRounds};
}  // namespace
}  // namespace wde::kernels
HWY_POP_ATTRIBUTES

namespace wde::kernels {
const Int8Kernel* int8_amx() { return &kKernel; }
}  // namespace wde::kernels
#endif
