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

// For builders: packs the sequences without the first prefix_lens[s] tokens of each; all tokens if that is empty.
void pack_sequences(std::span<const Sequence> batch, RowsNeeded rows, std::span<const int32_t> prefix_lens,
                    ModelInput& input);

using ModelInputBuilderFactory = std::function<std::unique_ptr<ModelInputBuilder>()>;
Registry<ModelInputBuilderFactory>& model_input_builders();

}  // namespace wde
