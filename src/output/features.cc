// features: one vector an input, which the model has pooled itself; what the sentence-transformers files put behind it.
#include "output/embedder.h"

namespace wde {
namespace {

OutputConfig of_one_row(OutputConfig config) {
  if (!config.pooling.empty())
    throw UsageError("this model pools by itself: --pooling must be auto, found " + config.pooling);
  config.pooling = pooling_name(Pooling::kLastToken);
  return config;
}

class FeaturesOutput final : public OutputProcessor {
 public:
  explicit FeaturesOutput(const OutputConfig& config) : embedder_(of_one_row(config)) {}
  RowsNeeded rows_needed() const override { return RowsNeeded::kLast; }
  size_t dimensions() const override { return embedder_.dimensions(); }

  Result<Response> process(const Sequence& sequence, View<const float> row) const override {
    return embedder_.respond(sequence, row);
  }

 private:
  Embedder embedder_;
};

WDE_REGISTER(output_processors().add("features", [](const OutputConfig& config) {
  return std::make_unique<FeaturesOutput>(config);
}));

}  // namespace
}  // namespace wde
