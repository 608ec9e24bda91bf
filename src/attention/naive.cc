// naive: the formula in plain loops. Slow; the reference that the others are tested against.
#include "attention/attn_backend.h"

namespace wde {
namespace {

class NaiveAttention final : public AttnBackend {
 public:
  std::string refuses(const AttentionMask&) const override { return ""; }
  size_t scratch_floats(size_t max_seqlen, const HeadShape&) const override { return max_seqlen; }

 private:
  void attend_sequence(const kernels::AttentionArgs& args, float* scratch) const noexcept override {
    kernels::naive_attention(args, scratch);
  }
};

WDE_REGISTER(attn_backends().add("naive", [] { return std::make_unique<NaiveAttention>(); }));

}  // namespace
}  // namespace wde
