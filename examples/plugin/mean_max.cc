// An output processor: the mean of a text's hidden states and their maximum, one behind the other.
#include <algorithm>

#include "example.h"

namespace example {
namespace {

class MeanMax final : public wde::OutputProcessor {
 public:
  explicit MeanMax(const wde::OutputConfig& config) : hidden_size_(config.hidden_size) {}

  wde::RowsNeeded rows_needed() const override { return wde::RowsNeeded::kAll; }
  size_t dimensions() const override { return 2 * hidden_size_; }

  wde::Result<wde::Response> process(const wde::Sequence& sequence, wde::View<const float> rows) const override {
    if (sequence.ids.empty()) return wde::Error{wde::ErrorCode::kInvalidInput, "the text has no tokens"};
    std::vector<float> vector(2 * hidden_size_);
    float* const mean = vector.data();
    float* const maximum = mean + hidden_size_;
    std::copy_n(rows.row(0), hidden_size_, maximum);
    for (size_t r = 0; r < rows.rows; ++r) {
      for (size_t d = 0; d < hidden_size_; ++d) {
        mean[d] += rows.row(r)[d];
        maximum[d] = std::max(maximum[d], rows.row(r)[d]);
      }
    }
    for (size_t d = 0; d < hidden_size_; ++d) mean[d] /= static_cast<float>(rows.rows);
    wde::Response response;
    response.outputs.push_back({"embedding", {vector.size()}, std::move(vector), {}});
    return response;
  }

 private:
  size_t hidden_size_;
};

}  // namespace

std::unique_ptr<wde::OutputProcessor> make_mean_max(const wde::OutputConfig& config) {
  return std::make_unique<MeanMax>(config);
}

}  // namespace example
