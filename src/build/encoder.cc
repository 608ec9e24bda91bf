// encoder: ids, segment ids and positions from 0, packed one sequence behind the other.
#include "build/model_input_builder.h"
#include "build/packing.h"

namespace wde {

Registry<ModelInputBuilderFactory>& model_input_builders() {
  static Registry<ModelInputBuilderFactory> registry("model input builder");
  return registry;
}

namespace {

class EncoderInputBuilder final : public ModelInputBuilder {
 public:
  void build(std::span<const Sequence> batch, RowsNeeded rows, ModelInput& input) const override {
    pack_sequences(batch, rows, {}, input);
  }
};

WDE_REGISTER(model_input_builders().add("encoder", [] { return std::make_unique<EncoderInputBuilder>(); }));

}  // namespace
}  // namespace wde
