// ModelInputBuilder seam: a batch of sequences -> the packed ModelInput. Fills buffers that are reused from batch to
// batch.
#pragma once

#include <memory>
#include <span>

#include "base/registry.h"
#include "stage/job.h"

namespace wde {

class ModelInputBuilder {
 public:
  virtual ~ModelInputBuilder() = default;
  virtual void build(std::span<const Sequence> batch, RowsNeeded rows, ModelInput& input) const = 0;
};

using ModelInputBuilderFactory = std::function<std::unique_ptr<ModelInputBuilder>()>;
Registry<ModelInputBuilderFactory>& model_input_builders();

}  // namespace wde
