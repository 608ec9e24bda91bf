#include "kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/activation.cc"  // NOLINT
#include <hwy/foreach_target.h>                     // NOLINT(build/include_order)

#include "kernels/activation-inl.h"

HWY_BEFORE_NAMESPACE();
namespace wde::kernels {
namespace HWY_NAMESPACE {
void activate_target(Activation act, float* x, size_t rows, size_t cols, size_t stride) {
  activate_rows(act, x, rows, cols, stride);
}
}  // namespace HWY_NAMESPACE
}  // namespace wde::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace wde {

std::optional<Activation> activation_from_name(std::string_view name) noexcept {
  if (name == "gelu") return Activation::kGelu;
  if (name == "gelu_new" || name == "gelu_pytorch_tanh" || name == "gelu_fast") return Activation::kGeluTanh;
  if (name == "relu") return Activation::kRelu;
  if (name == "silu" || name == "swish") return Activation::kSilu;
  if (name == "tanh") return Activation::kTanh;
  if (name == "sigmoid") return Activation::kSigmoid;
  if (name == "identity" || name == "linear") return Activation::kNone;
  return std::nullopt;
}

namespace kernels {
HWY_EXPORT(activate_target);
void activate(Activation act, float* x, size_t rows, size_t cols, size_t stride) noexcept {
  HWY_DYNAMIC_DISPATCH(activate_target)(act, x, rows, cols, stride);
}
}  // namespace kernels
}  // namespace wde
#endif
