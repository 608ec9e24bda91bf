// embedding: one vector a text.
#include "output/embedder.h"

namespace wde {

Registry<OutputProcessorFactory>& output_processors() {
  static Registry<OutputProcessorFactory> registry("output processor");
  return registry;
}

namespace {

class EmbeddingOutput final : public OutputProcessor {
 public:
  explicit EmbeddingOutput(const OutputConfig& config) : embedder_(config) {
    if (config.spec->pooled) {
      throw LoadError(config.spec->transformer_directory +
                      ": the sentence-transformers files expect a model that pools by itself, as CLIP does, and this "
                      "architecture does not");
    }
  }
  RowsNeeded rows_needed() const override { return embedder_.rows_needed(); }
  bool wants_prompt_tokens() const override { return embedder_.wants_prompt_tokens(); }
  size_t dimensions() const override { return embedder_.dimensions(); }

  Result<Response> process(const Sequence& sequence, View<const float> hidden) const override {
    return embedder_.respond(sequence, hidden);
  }

 private:
  Embedder embedder_;
};

WDE_REGISTER(output_processors().add("embedding", [](const OutputConfig& config) {
  return std::make_unique<EmbeddingOutput>(config);
}));

}  // namespace
}  // namespace wde
