// towers: the batch as the encoder's builder packs it, and its texts and its images once more by themselves, for a
// model that has layers for each.
#include "build/model_input_builder.h"
#include "build/packing.h"

namespace wde {
namespace {

class TowersInputBuilder final : public ModelInputBuilder {
 public:
  void build(std::span<const Sequence> batch, RowsNeeded rows, ModelInput& input) const override {
    begin_packing(rows, input);
    input.parts.resize(ModelInput::kParts);
    ModelInput& texts = input.parts[ModelInput::kTexts];
    ModelInput& images = input.parts[ModelInput::kImages];
    begin_packing(rows, texts);
    begin_packing(RowsNeeded::kFirst, images);  // the class token
    for (size_t i = 0; i < batch.size(); ++i) {
      const Sequence& s = batch[i];
      pack(s, 0, input);
      ModelInput& part = s.image ? images : texts;
      pack(s, 0, part);
      part.part_sequences.push_back(static_cast<int32_t>(i));
      if (s.image) part.images.push_back(s.image.get());
    }
  }
};

WDE_REGISTER(model_input_builders().add("towers", [] { return std::make_unique<TowersInputBuilder>(); }));

}  // namespace
}  // namespace wde
