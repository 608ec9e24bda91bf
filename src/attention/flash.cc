// flash: the tiled kernel with packed keys; the default.
#include "attention/attn_backend.h"

namespace wde {
namespace {

class FlashAttention final : public AttnBackend {
 public:
  std::string refuses(const AttentionMask& mask) const override {
    if (mask.soft_cap != 0.0f) return "logit soft cap";
    if (mask.alibi_slopes != nullptr) return "ALiBi";
    if (mask.relative_bias != nullptr) return "relative position bias";
    return "";
  }
  size_t scratch_floats(size_t max_seqlen, const HeadShape& heads) const override {
    return kernels::flash_attention_scratch(max_seqlen, heads.head_dim);
  }

 private:
  void attend_sequence(const kernels::AttentionArgs& args, float* scratch) const noexcept override {
    kernels::flash_attention(args, scratch);
  }
};

WDE_REGISTER(attn_backends().add("flash", [] { return std::make_unique<FlashAttention>(); }));

}  // namespace
}  // namespace wde
