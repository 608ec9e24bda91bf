#include "kernels/attention.h"

#include "kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention.cc"  // NOLINT
#include <hwy/foreach_target.h>                    // NOLINT(build/include_order)

#include "kernels/flash-inl.h"
#include "kernels/pair_products-inl.h"

HWY_BEFORE_NAMESPACE();
namespace wde::kernels {
namespace HWY_NAMESPACE {

void flash_attention_target(const AttentionArgs& a, float* scratch) {
  a.bf16 ? Flash<PairProducts>(a, scratch).run() : Flash<FloatProducts>(a, scratch).run();
}

size_t flash_scratch_target(size_t max_k_len, size_t head_dim, size_t group) {
  return HWY_MAX(flash_scratch<FloatProducts>(max_k_len, head_dim, group),
                 flash_scratch<PairProducts>(max_k_len, head_dim, group));
}

}  // namespace HWY_NAMESPACE
}  // namespace wde::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace wde::kernels {
HWY_EXPORT(flash_attention_target);
HWY_EXPORT(flash_scratch_target);

size_t flash_attention_scratch(size_t max_k_len, size_t head_dim, size_t group) noexcept {
  return HWY_DYNAMIC_DISPATCH(flash_scratch_target)(max_k_len, head_dim, group);
}

void flash_attention(const AttentionArgs& args, float* scratch) noexcept {
  HWY_DYNAMIC_DISPATCH(flash_attention_target)(args, scratch);
}
}  // namespace wde::kernels
#endif
