#include "kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm_bf16_pairs.cc"  // NOLINT
#include <hwy/foreach_target.h>                          // NOLINT(build/include_order)

#include "kernels/amx.h"
#include "kernels/bf16_choice.h"
#include "kernels/bf16_pairs-inl.h"
#include "kernels/gemm_bf16.h"
#include "kernels/gemm_blocks-inl.h"

HWY_BEFORE_NAMESPACE();
namespace wde::kernels {
namespace HWY_NAMESPACE {

void gemm_bf16_pairs_target(const Bf16Rows& a, const uint16_t* packed_b, float* c, size_t ldc, size_t m, size_t n,
                            size_t k, const GemmEpilogue& e) {
  const size_t pairs = (k + 1) / 2;
  const float* const b = reinterpret_cast<const float*>(packed_b);
  gemm_blocks(reinterpret_cast<const float*>(a.data), a.stride / 2, TilePairs{b, kPanelCols, kPanelCols * pairs, b}, c,
              ldc, m, n, pairs, e);
}

void round_rows_target(const float* x, size_t x_stride, size_t rows, size_t k, const Bf16Rows& out) {
  round_rows_to(x, x_stride, rows, k, out.data, out.stride);
}

}  // namespace HWY_NAMESPACE
}  // namespace wde::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace wde::kernels {
HWY_EXPORT(gemm_bf16_pairs_target);
HWY_EXPORT(round_rows_target);

void round_rows(const float* x, size_t x_stride, size_t rows, size_t k, const Bf16Rows& out) noexcept {
  HWY_DYNAMIC_DISPATCH(round_rows_target)(x, x_stride, rows, k, out);
}

void gemm_bf16_pairs(const Bf16Rows& a, const uint16_t* packed_b, float* c, size_t ldc, size_t m, size_t n, size_t k,
                     const GemmEpilogue& epilogue) noexcept {
#if HWY_ARCH_X86
  if (bf16_tiles()) return gemm_bf16_amx(a, packed_b, c, ldc, m, n, k, epilogue);
#endif
  HWY_DYNAMIC_DISPATCH(gemm_bf16_pairs_target)(a, packed_b, c, ldc, m, n, k, epilogue);
}
}  // namespace wde::kernels
#endif
