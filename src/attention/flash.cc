// flash: the tiled kernel with packed keys; the default. flashinfer, a library for GPUs, is accepted as a name of it:
// the same algorithm on packed sequences.
#include "attention/attn_backend.h"

namespace wde {
namespace {

class FlashAttention : public AttnBackend {
 public:
  std::string refuses(const AttentionMask&) const override { return ""; }
  bool takes_rounded() const override { return true; }
  size_t scratch_floats(size_t max_seqlen, const HeadShape& heads) const override {
    return kernels::flash_attention_scratch(max_seqlen, heads.head_dim, heads.num_heads / heads.num_kv_heads);
  }

 private:
  void attend_sequence(const kernels::AttentionArgs& args, float* scratch) const noexcept override {
    kernels::flash_attention(args, scratch);
  }
};

class FlashInferAttention final : public FlashAttention {
 public:
  std::string alias_of() const override { return "flash"; }
};

WDE_REGISTER(attn_backends().add("flash", [] { return std::make_unique<FlashAttention>(); }));
WDE_REGISTER(attn_backends().add("flashinfer", [] { return std::make_unique<FlashInferAttention>(); }));

}  // namespace
}  // namespace wde
