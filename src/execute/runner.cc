// cpu: the model's forward pass with an arena of its own.
#include "execute/runner.h"

namespace wde {

Registry<RunnerFactory>& runners() {
  static Registry<RunnerFactory> registry("runner");
  return registry;
}
namespace {

class CpuRunner final : public Runner {
 public:
  explicit CpuRunner(const RunnerConfig& config) : model_(*config.model), backend_(*config.backend) {
    arena_.reserve(model_.arena_floats(config.max_tokens, config.max_seqlen, config.max_team, backend_));
  }
  void run(const ModelInput& input, ModelOutput& output, Team& team) override {
    arena_.reset();
    model_.forward(input, backend_, arena_, team, output);
  }

 private:
  const Model& model_;
  const AttnBackend& backend_;
  Arena arena_;
};

WDE_REGISTER(runners().add("cpu", [](const RunnerConfig& config) { return std::make_unique<CpuRunner>(config); }));

}  // namespace
}  // namespace wde
