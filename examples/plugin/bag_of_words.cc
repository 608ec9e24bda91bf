// A model: each token's hidden state is its word vector, from the tensor "words.weight" [vocab_size, hidden_size]. No
// attention, so no mask, and nothing to keep between layers.
#include "example.h"
#include "ops/embedding.h"

namespace example {
namespace {

class BagOfWords final : public wde::Model {
 public:
  BagOfWords(const wde::ConfigView& config, wde::Weights& weights) {
    shape_.hidden_size = static_cast<size_t>(config.integer("hidden_size", 1, 1 << 16));
    shape_.vocab_size = static_cast<size_t>(config.integer("vocab_size", 1, 1 << 24));
    shape_.positions = static_cast<size_t>(config.integer_or("max_position_embeddings", 512, 1, 1 << 20));
    shape_.heads = {1, 1, 1};
    words_ = wde::Embedding(weights, "words.weight", shape_.vocab_size, shape_.hidden_size);
  }

  wde::ModelShape shape() const override { return shape_; }
  size_t layers() const override { return 1; }
  std::vector<wde::AttentionMask> masks() const override { return {}; }
  size_t weight_bytes() const override { return 0; }  // the table is read where the file lies
  void reserve(size_t) override {}
  size_t arena_floats(size_t, size_t, size_t, const wde::AttnBackend&) const override { return 0; }

  void forward(const wde::ModelInput& input, wde::LayerRange, const wde::AttnBackend&, wde::Arena&, wde::Team& team,
               wde::ModelOutput& output) const override {
    const wde::View<float> out = output.resize(input.output_rows(), shape_.hidden_size);
    team.run([&](const wde::Part& part) {
      const wde::Range mine = part.share(out.rows);
      for (size_t row = mine.begin; row < mine.end; ++row) {
        const size_t token = input.rows == wde::RowsNeeded::kAll ? row : static_cast<size_t>(input.row_indices[row]);
        words_.copy(static_cast<size_t>(input.ids[token]), out.row(row));
      }
    });
  }

 private:
  wde::ModelShape shape_;
  wde::Embedding words_;
};

}  // namespace

wde::ModelSpec bag_of_words() {
  wde::ModelSpec spec;
  spec.architectures = {"ExampleBagOfWords"};
  spec.model_type = "example_bag_of_words";
  spec.create = [](const wde::ConfigView& config, wde::Weights& weights) {
    return std::make_unique<BagOfWords>(config, weights);
  };
  return spec;
}

}  // namespace example
