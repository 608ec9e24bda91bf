// hidden_states: the last hidden state of every token, as the model gives it.
#include <algorithm>

#include "kernels/elementwise.h"
#include "output/output_processor.h"

namespace wde {
namespace {

class HiddenStatesOutput final : public OutputProcessor {
 public:
  explicit HiddenStatesOutput(const OutputConfig& config) : hidden_size_(config.hidden_size) {}
  RowsNeeded rows_needed() const override { return RowsNeeded::kAll; }
  size_t dimensions() const override { return hidden_size_; }

  Result<Response> process(const Sequence&, View<const float> hidden) const override {
    Output output{"hidden", {hidden.rows, hidden.cols}, std::vector<float>(hidden.rows * hidden.cols), {}};
    for (size_t r = 0; r < hidden.rows; ++r)
      std::copy_n(hidden.row(r), hidden.cols, output.values.data() + r * hidden.cols);
    if (!kernels::all_finite(output.values.data(), output.values.size())) return not_finite();
    Response response;
    response.outputs.push_back(std::move(output));
    return response;
  }

 private:
  size_t hidden_size_;
};

WDE_REGISTER(output_processors().add("hidden_states", [](const OutputConfig& config) {
  return std::make_unique<HiddenStatesOutput>(config);
}));

}  // namespace
}  // namespace wde
