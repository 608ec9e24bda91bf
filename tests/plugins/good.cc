// Adds an attention backend, and replaces one.
#include "attention/attn_backend.h"
#include "wde/plugin.h"

namespace {

class Refusing final : public wde::AttnBackend {
 public:
  std::string refuses(const wde::AttentionMask&) const override { return "anything at all"; }
  size_t scratch_floats(size_t, const wde::HeadShape&) const override { return 1; }

 private:
  void attend_sequence(const wde::kernels::AttentionArgs&, float*) const noexcept override {}
};

}  // namespace

WDE_PLUGIN() {
  wde::attn_backends().add("plugin_refusing", [] { return std::make_unique<Refusing>(); });
  wde::attn_backends().replace("plugin_replaced", [] { return std::make_unique<Refusing>(); });
}
