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
void gate_panels_target(Activation act, const float* x, size_t x_stride, float* y, size_t y_stride, size_t rows,
                        size_t panels) {
  switch (act) {
    case Activation::kGelu:
      return gate_panels_as<Activation::kGelu>(x, x_stride, y, y_stride, rows, panels);
    case Activation::kGeluTanh:
      return gate_panels_as<Activation::kGeluTanh>(x, x_stride, y, y_stride, rows, panels);
    case Activation::kQuickGelu:
      return gate_panels_as<Activation::kQuickGelu>(x, x_stride, y, y_stride, rows, panels);
    case Activation::kRelu:
      return gate_panels_as<Activation::kRelu>(x, x_stride, y, y_stride, rows, panels);
    case Activation::kSilu:
      return gate_panels_as<Activation::kSilu>(x, x_stride, y, y_stride, rows, panels);
    case Activation::kTanh:
      return gate_panels_as<Activation::kTanh>(x, x_stride, y, y_stride, rows, panels);
    case Activation::kSigmoid:
      return gate_panels_as<Activation::kSigmoid>(x, x_stride, y, y_stride, rows, panels);
    case Activation::kNone:
      return gate_panels_as<Activation::kNone>(x, x_stride, y, y_stride, rows, panels);
  }
}
}  // namespace HWY_NAMESPACE
}  // namespace wde::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace wde {

std::optional<Activation> activation_from_name(std::string_view name) noexcept {
  if (name == "gelu" || name == "gelu_python") return Activation::kGelu;
  if (name == "gelu_new" || name == "gelu_pytorch_tanh" || name == "gelu_fast" || name == "gelu_accurate")
    return Activation::kGeluTanh;
  if (name == "quick_gelu") return Activation::kQuickGelu;
  if (name == "relu") return Activation::kRelu;
  if (name == "silu" || name == "swish") return Activation::kSilu;
  if (name == "tanh") return Activation::kTanh;
  if (name == "sigmoid") return Activation::kSigmoid;
  if (name == "identity" || name == "linear") return Activation::kNone;
  return std::nullopt;
}

namespace kernels {
HWY_EXPORT(activate_target);
HWY_EXPORT(gate_panels_target);
void activate(Activation act, float* x, size_t rows, size_t cols, size_t stride) noexcept {
  HWY_DYNAMIC_DISPATCH(activate_target)(act, x, rows, cols, stride);
}
void gate_panels(Activation act, const float* x, size_t x_stride, float* y, size_t y_stride, size_t rows,
                 size_t panels) noexcept {
  HWY_DYNAMIC_DISPATCH(gate_panels_target)(act, x, x_stride, y, y_stride, rows, panels);
}
}  // namespace kernels
}  // namespace wde
#endif
