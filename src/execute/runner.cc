// cpu: the model's forward pass with an arena of its own.
#include "execute/runner.h"

#include <algorithm>

namespace wde {

Registry<RunnerFactory>& runners() {
  static Registry<RunnerFactory> registry("runner");
  return registry;
}
namespace {

class CpuRunner final : public Runner {
 public:
  explicit CpuRunner(const RunnerConfig& config)
      : model_(*config.model), head_(config.head), backend_(*config.backend), check_(config.check) {
    arena_.reserve(std::max(model_.arena_floats(config.max_tokens, config.max_seqlen, config.max_team, backend_),
                            head_ ? head_->arena_floats(config.max_tokens, config.max_team) : 0));
  }
  void run(const ModelInput& input, LayerRange range, ModelOutput& output, Team& team) override {
    arena_.reset();
    model_.forward(input, range, backend_, arena_, team, output);
    if (head_ != nullptr && range.last >= model_.layers()) {
      arena_.reset();
      head_->run(input, output, arena_, team);
    }
    if (check_) check_();
  }

 private:
  const Model& model_;
  const Head* head_;
  const AttnBackend& backend_;
  const std::function<void()> check_;
  Arena arena_;
};

WDE_REGISTER(runners().add("cpu", [](const RunnerConfig& config) { return std::make_unique<CpuRunner>(config); }));

}  // namespace
}  // namespace wde
