// Static embeddings (model2vec, sentence-transformers' StaticEmbedding): a row of a table for every token, and nothing
// behind it.
#include <fmt/format.h>

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
    const bool model2vec = !weights.has("embedding.weight");
    const auto rows = static_cast<size_t>(config.integer("table_rows", 1, 1 << 24));
    const std::string table = model2vec ? "embeddings" : "embedding.weight";
    words_ = Embedding(weights.get_table(table, {rows, shape_.hidden_size}), shape_.hidden_size);
    if (model2vec && weights.has("mapping")) {
      for (const double row : weights.numbers("mapping", shape_.vocab_size)) {
        if (!(row >= 0 && row < static_cast<double>(rows)))
          throw LoadError(
              fmt::format("{}: \"mapping\" leads to row {}, but the table has {}", config.file(), row, rows));
        rows_.push_back(static_cast<uint32_t>(row));
      }
    }
    if (model2vec && weights.has("weights")) factors_ = weights.numbers("weights", shape_.vocab_size);
  }

  ModelShape shape() const override { return shape_; }
  size_t layers() const override { return 0; }
  std::vector<AttentionMask> masks() const override { return {}; }
  // The rows of the table are read as their tokens occur.
  size_t weight_bytes() const override { return rows_.size() * sizeof(uint32_t) + factors_.size() * sizeof(double); }
  void reserve(size_t) override {}
  size_t arena_floats(size_t, size_t, size_t, const AttnBackend&) const override { return 0; }
  void forward(const ModelInput& input, LayerRange, const AttnBackend&, Arena&, Team&,
               ModelOutput& output) const override {
    const View<float> out = output.resize(input.output_rows(), shape_.hidden_size);
    for (size_t r = 0; r < out.rows; ++r) {
      const size_t token = input.rows == RowsNeeded::kAll ? r : static_cast<size_t>(input.row_indices[r]);
      const auto id = static_cast<size_t>(input.ids[token]);
      float* row = out.row(r);
      words_.copy(rows_.empty() ? id : rows_[id], row);
      if (factors_.empty()) continue;
      for (size_t i = 0; i < out.cols; ++i) row[i] = static_cast<float>(row[i] * factors_[id]);
    }
  }

 private:
  ModelShape shape_;
  Embedding words_;
  // model2vec: of each token the row, where several share one, and what its row is multiplied by. Empty: neither.
  std::vector<uint32_t> rows_;
  std::vector<double> factors_;
};

WDE_REGISTER(
    ModelRegistry::instance().add({{"StaticModel"}, "model2vec", false, [](const ConfigView& config, Weights& weights) {
                                     return std::make_unique<StaticModel>(config, weights);
                                   }}));

}  // namespace
}  // namespace wde
