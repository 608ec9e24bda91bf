#include "kernels/pack_columns.h"
#include "kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm.cc"  // NOLINT
#include <hwy/foreach_target.h>               // NOLINT(build/include_order)

#include "kernels/gemm_blocks-inl.h"

HWY_BEFORE_NAMESPACE();
namespace wde::kernels {
namespace HWY_NAMESPACE {

void gemm_target(const float* a, size_t lda, const float* packed_b, float* c, size_t ldc, size_t m, size_t n, size_t k,
                 const GemmEpilogue& e) {
  gemm_blocks(a, lda, TileB{packed_b, kPanelCols, kPanelCols * k, nullptr}, c, ldc, m, n, k, e);
}

}  // namespace HWY_NAMESPACE
}  // namespace wde::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace wde::kernels {
HWY_EXPORT(gemm_target);

void gemm(const float* a, size_t lda, const float* packed_b, float* c, size_t ldc, size_t m, size_t n, size_t k,
          const GemmEpilogue& epilogue) noexcept {
  HWY_DYNAMIC_DISPATCH(gemm_target)(a, lda, packed_b, c, ldc, m, n, k, epilogue);
}

void pack_weight(const float* w, size_t n, size_t k, size_t first_column, float* packed) noexcept {
  pack_columns<1>(w, n, k, first_column, packed, [](float x) { return x; });
}
}  // namespace wde::kernels
#endif
