// Runner seam: one forward pass with the memory that it needs.
#pragma once

#include <functional>
#include <memory>

#include "base/registry.h"
#include "model/model.h"
#include "stage/job.h"

namespace wde {

// Everything that a runner reads; shared by all runners of an engine, which it outlives.
struct RunnerConfig {
  const Model* model = nullptr;
  const Head* head = nullptr;  // nullptr: hidden states are the result
  const AttnBackend* backend = nullptr;
  size_t max_tokens = 0;  // largest batch
  size_t max_seqlen = 0;
  size_t max_team = 1;  // threads that may compute one batch together
  // Throws after a pass during which a file that the model reads while it runs was changed; empty: there is none.
  std::function<void()> check;
};

class Runner {
 public:
  virtual ~Runner() = default;
  // Allocates nothing once batches of the largest size have passed.
  // The head runs behind the last layer.
  virtual void run(const ModelInput& input, LayerRange range, ModelOutput& output, Team& team) = 0;
};
using RunnerFactory = std::function<std::unique_ptr<Runner>(const RunnerConfig&)>;
Registry<RunnerFactory>& runners();

}  // namespace wde
