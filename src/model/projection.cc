// The head of embedders whose hidden states go through one more matrix before they are pooled: voyage-4-nano's
// Qwen3BidirectionalModel has linear.weight [num_labels, hidden_size].
#include <fmt/format.h>

#include "model/head.h"
#include "ops/linear.h"

namespace wde {
namespace {

class Projection final : public Head {
 public:
  Projection(const HeadContext& context, size_t size)
      : linear_(Linear::from(context.weights, arena_, kProjection, context.hidden_size, size, false)) {}

  HeadResult result() const override {
    HeadResult out;
    out.per_sequence = false;
    out.dense = linear_.out_features();
    return out;
  }
  RowsNeeded rows_needed() const override { return RowsNeeded::kAll; }
  size_t weight_bytes() const override { return arena_.bytes(); }
  size_t arena_floats(size_t, size_t) const override { return 0; }

  void run(const ModelInput&, ModelOutput& output, Arena&, Team& team) const override {
    const View<float> hidden = output.hidden(), result = output.resize_result(hidden.rows, linear_.out_features());
    team.run([&](const Part& part) {
      const Range rows = part.share(hidden.rows);
      linear_.run(hidden.slice_rows(rows.begin, rows.size()), result.slice_rows(rows.begin, rows.size()));
    });
  }

 private:
  WeightArena arena_;
  Linear linear_;
};

}  // namespace

size_t projected_size(const ConfigView& config, const Weights& weights) {
  const std::string name = std::string(kProjection) + ".weight";
  const std::vector<size_t> shape = weights.shape(name);
  if (shape.empty()) return 0;
  const auto wanted =
      static_cast<size_t>(config.integer_or("num_labels", static_cast<int64_t>(shape[0]), 1, int64_t{1} << 20));
  if (shape.size() != 2 || shape[0] != wanted)
    throw LoadError(fmt::format("{}: num_labels is {}, expected the number of rows of {}, which has {}", config.file(),
                                wanted, name, shape[0]));
  return wanted;
}

std::unique_ptr<Head> make_projection(const HeadContext& context) {
  const size_t size = projected_size(context.config, context.weights);
  return size == 0 ? nullptr : std::make_unique<Projection>(context, size);
}

}  // namespace wde
