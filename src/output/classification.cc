// score, classification, token_classification: logits, and behind the model's activation what people call scores.
#include <algorithm>
#include <cmath>

#include "output/output_processor.h"

namespace wde {
namespace {

void activate(ScoreActivation activation, float* x, size_t n) {
  switch (activation) {
    case ScoreActivation::kNone:
      return;
    case ScoreActivation::kSigmoid:
      for (size_t i = 0; i < n; ++i) x[i] = 1.0f / (1.0f + std::exp(-x[i]));
      return;
    case ScoreActivation::kSoftmax: {
      const float max = *std::max_element(x, x + n);
      float sum = 0;
      for (size_t i = 0; i < n; ++i) sum += x[i] = std::exp(x[i] - max);
      for (size_t i = 0; i < n; ++i) x[i] /= sum;
      return;
    }
  }
}

enum class Kind { kScore, kClasses, kTokenClasses };

class ClassificationOutput final : public OutputProcessor {
 public:
  ClassificationOutput(const OutputConfig& config, Kind kind)
      : kind_(kind), labels_(config.head ? config.head->logits : 0), activation_(config.score_activation) {
    if (kind == Kind::kScore && labels_ != 1) {
      throw UsageError("this model's head gives " + std::to_string(labels_) +
                       " classes, and a score is one number: use the task classify (`wde classify`)");
    }
    if (kind == Kind::kTokenClasses) activation_ = ScoreActivation::kSoftmax;
  }

  RowsNeeded rows_needed() const override { return RowsNeeded::kAll; }
  bool wants_offsets() const override { return kind_ == Kind::kTokenClasses; }
  size_t dimensions() const override { return kind_ == Kind::kTokenClasses ? labels_ : 0; }

  Result<Response> process(const Sequence& sequence, View<const float> rows) const override {
    std::vector<float> logits(rows.rows * labels_);
    for (size_t r = 0; r < rows.rows; ++r) std::copy_n(rows.row(r), labels_, logits.data() + r * labels_);
    if (!std::all_of(logits.begin(), logits.end(), [](float v) { return std::isfinite(v); })) {
      return Error{ErrorCode::kInternal, "the model's output is not finite for this input"};
    }
    std::vector<float> probs = logits;
    for (size_t r = 0; r < rows.rows; ++r) activate(activation_, probs.data() + r * labels_, labels_);
    Response response;
    std::vector<size_t> shape = {labels_};
    if (kind_ == Kind::kScore) shape = {};
    if (kind_ == Kind::kTokenClasses) {
      shape = {rows.rows, labels_};
      response.details.offsets = sequence.offsets;
      response.details.special_tokens_mask = sequence.special_tokens_mask;
    }
    const bool score = kind_ == Kind::kScore;
    response.outputs.push_back({score ? "score" : "probs", shape, std::move(probs), {}});
    response.outputs.push_back({score ? "logit" : "logits", shape, std::move(logits), {}});
    return response;
  }

 private:
  Kind kind_;
  size_t labels_;
  ScoreActivation activation_;
};

bool add(const std::string& name, Kind kind) {
  return output_processors().add(
      name, [kind](const OutputConfig& config) { return std::make_unique<ClassificationOutput>(config, kind); });
}

WDE_REGISTER(add("score", Kind::kScore));
WDE_REGISTER(add("classification", Kind::kClasses));
WDE_REGISTER(add("token_classification", Kind::kTokenClasses));

}  // namespace
}  // namespace wde
