// AMX: tiles of 16 rows x 16 columns x 32 of bfloat16, four of them at a time.
#include "kernels/amx.h"

#if defined(__x86_64__)
#include <hwy/base.h>
#include <immintrin.h>

#include <algorithm>
#include <cstring>

HWY_PUSH_ATTRIBUTES("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")
namespace wde::kernels {
namespace {
#include "kernels/amx-inl.h"
#include "kernels/avx512-inl.h"

struct Strip {
  float* c;
  size_t ldc, cols;
  const float *bias, *residual;  // or nullptr
  size_t residual_stride;
};

void store_rows(const Strip& s, size_t first_row, size_t rows, const AmxSums& sums) {
  for (size_t r = 0; r < rows; ++r) {
    float* const c = s.c + (first_row + r) * s.ldc;
    const float* const residual = s.residual == nullptr ? nullptr : s.residual + (first_row + r) * s.residual_stride;
    for (size_t col = 0; col < s.cols; col += kLanes) {
      FloatVector x = _mm512_castsi512_ps(load(sums.row[r] + col));
      if (s.bias != nullptr) x = add(x, load_floats(s.bias + col));
      if (residual != nullptr) x = add(x, load_some(residual + col, s.cols - col));
      store_some(c + col, x, s.cols - col);
    }
  }
}
}  // namespace

void gemm_bf16_amx(const Bf16Rows& a, const uint16_t* packed_b, float* c, size_t ldc, size_t m, size_t n, size_t k,
                   const GemmEpilogue& e) noexcept {
  const size_t units = (k + 1) / 2, blocks = (m + kBlockRows - 1) / kBlockRows, strip_cols = kPanels * kPanelCols;
  const auto* const b = reinterpret_cast<const uint8_t*>(packed_b);
  for (size_t block = 0; block < blocks; ++block) {
    const size_t row = m * block / blocks, rows = m * (block + 1) / blocks - row;
    for (size_t col = 0; col < n; col += strip_cols) {
      const size_t next = col + strip_cols;
      Strip s{c + row * ldc + col, ldc, std::min(strip_cols, n - col), nullptr, nullptr, e.residual_stride};
      if (e.bias != nullptr) s.bias = e.bias + col;
      if (e.residual != nullptr) s.residual = e.residual + row * e.residual_stride + col;
      AmxOperands o{};
      o.a = reinterpret_cast<const uint8_t*>(a.data + row * a.stride);
      o.lda = 2 * a.stride;
      o.b = b + col / kPanelCols * kLineBytes * units;
      o.units = units;
      o.panels = s.cols > kPanelCols ? 2 : 1;
      o.ahead = next < n                                   ? b + next / kPanelCols * kLineBytes * units
                : block + 1 == blocks && e.next != nullptr ? static_cast<const uint8_t*>(e.next)
                                                           : b;
      multiply_pieces<Product::kBf16>(
          o, rows, [&](size_t first, size_t count, const AmxSums& sums) { store_rows(s, first, count, sums); });
      // While the columns are in the cache; see gemm_blocks-inl.h.
      if (e.activation != Activation::kNone) activate(e.activation, s.c, rows, s.cols, ldc);
    }
  }
}

}  // namespace wde::kernels
HWY_POP_ATTRIBUTES
#endif
