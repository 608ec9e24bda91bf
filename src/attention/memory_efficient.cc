// memory_efficient: chunks of queries over chunks of keys, as in xFormers; a batch is block-diagonal, its sequences
// never meet. Its scratch is the same for a text of any length, where flash keeps a head's keys.
#include "attention/attn_backend.h"

namespace wde {
namespace {

class MemoryEfficientAttention final : public AttnBackend {
 public:
  std::string refuses(const AttentionMask&) const override { return ""; }
  size_t scratch_floats(size_t, const HeadShape& heads) const override {
    return kernels::chunked_attention_scratch(heads.head_dim);
  }

 private:
  void attend_sequence(const kernels::AttentionArgs& args, float* scratch) const noexcept override {
    kernels::chunked_attention(args, scratch);
  }
};

WDE_REGISTER(attn_backends().add("memory_efficient", [] { return std::make_unique<MemoryEfficientAttention>(); }));

}  // namespace
}  // namespace wde
