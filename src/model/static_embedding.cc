// Static embeddings (model2vec, sentence-transformers' StaticEmbedding): a row of a table for every token, and nothing
// behind it. model2vec's tables with a mapping or weights of tokens are refused.
#include <algorithm>

#include "model/model.h"
#include "ops/embedding.h"

namespace wde {
namespace {

class StaticModel final : public Model {
 public:
  StaticModel(const ConfigView& config, Weights& weights) {
    shape_.hidden_size = static_cast<size_t>(config.integer("hidden_size", 1, 1 << 20));
    shape_.vocab_size = static_cast<size_t>(config.integer("vocab_size", 1, 1 << 24));
    shape_.positions = static_cast<size_t>(config.integer("max_position_embeddings", 1, 1 << 24));
    shape_.heads = {1, 1, 1};
    const char* name = weights.has("embedding.weight") ? "embedding.weight" : "embeddings";
    words_ = Embedding(weights, name, shape_.vocab_size, shape_.hidden_size);
    for (const char* other : {"mapping", "weights"}) {
      if (weights.has(other))
        throw LoadError(config.file() + ": the checkpoint has a tensor \"" + other +
                        "\", as newer versions of model2vec write it, which is not supported");
    }
  }

  ModelShape shape() const override { return shape_; }
  size_t layers() const override { return 0; }
  std::vector<AttentionMask> masks() const override { return {}; }
  size_t weight_bytes() const override { return 0; }  // read where the file lies
  void reserve(size_t) override {}
  size_t arena_floats(size_t, size_t, size_t, const AttnBackend&) const override { return 0; }
  void forward(const ModelInput& input, LayerRange, const AttnBackend&, Arena&, Team&,
               ModelOutput& output) const override {
    const View<float> out = output.resize(input.output_rows(), shape_.hidden_size);
    for (size_t r = 0; r < out.rows; ++r) {
      const size_t token = input.rows == RowsNeeded::kAll ? r : static_cast<size_t>(input.row_indices[r]);
      words_.copy(static_cast<size_t>(input.ids[token]), out.row(r));
    }
  }

 private:
  ModelShape shape_;
  Embedding words_;
};

WDE_REGISTER(
    ModelRegistry::instance().add({{"StaticModel"}, "model2vec", false, [](const ConfigView& config, Weights& weights) {
                                     return std::make_unique<StaticModel>(config, weights);
                                   }}));

}  // namespace
}  // namespace wde
