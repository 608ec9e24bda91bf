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
  // Tokens that make a batch for one thread: more gain nothing, and their activations leave the core's L2 cache (Zen 5
  // with 1 MiB, MiniLM in int8: 54,500 tokens/s with 384 to 512, 50,500 with 1,024, 43,000 with 16,384).
  static constexpr size_t kUsefulTokens = 512;
  // Tokens up to which a batch gains by more sequences, when it has these already.
  virtual size_t useful_tokens(std::span<const Sequence> /*batch*/) const { return kUsefulTokens; }
  // The most that useful_tokens() says.
  virtual size_t most_useful_tokens() const { return kUsefulTokens; }
};

using ModelInputBuilderFactory = std::function<std::unique_ptr<ModelInputBuilder>()>;
Registry<ModelInputBuilderFactory>& model_input_builders();

}  // namespace wde
