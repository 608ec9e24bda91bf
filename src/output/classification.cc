// score, classification, token_classification: logits, and behind the model's activation what people call scores.
#include <algorithm>
#include <cmath>
#include <string_view>

#include "kernels/elementwise.h"
#include "output/output_processor.h"
#include "tokenizer/tokenizer.h"

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

size_t characters(std::string_view utf8) {
  return static_cast<size_t>(
      std::count_if(utf8.begin(), utf8.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

enum class Kind { kScore, kClasses, kTokenClasses };

class ClassificationOutput final : public OutputProcessor {
 public:
  ClassificationOutput(const OutputConfig& config, Kind kind)
      : kind_(kind),
        labels_(config.head ? config.head->logits : 0),
        activation_(config.score_activation),
        tokenizer_(config.tokenizer) {
    if (kind == Kind::kScore && labels_ != 1) {
      throw UsageError("this model's head gives " + std::to_string(labels_) +
                       " classes, and a score is one number: use the task classify (`wde classify`)");
    }
    if (kind == Kind::kTokenClasses) {
      activation_ = ScoreActivation::kSoftmax;
      words_ = tokenizer_->word_rule();
    }
  }

  RowsNeeded rows_needed() const override { return RowsNeeded::kAll; }
  bool wants_offsets() const override { return kind_ == Kind::kTokenClasses; }
  size_t dimensions() const override { return kind_ == Kind::kTokenClasses ? labels_ : 0; }

  Result<Response> process(const Sequence& sequence, View<const float> rows) const override {
    std::vector<float> logits(rows.rows * labels_);
    for (size_t r = 0; r < rows.rows; ++r) std::copy_n(rows.row(r), labels_, logits.data() + r * labels_);
    if (!kernels::all_finite(logits.data(), logits.size())) return not_finite();
    std::vector<float> probs = logits;
    for (size_t r = 0; r < rows.rows; ++r) activate(activation_, probs.data() + r * labels_, labels_);
    Response response;
    std::vector<size_t> shape = {labels_};
    if (kind_ == Kind::kScore) shape = {};
    if (kind_ == Kind::kTokenClasses) {
      shape = {rows.rows, labels_};
      response.details.offsets = sequence.offsets;
      response.details.special_tokens_mask = sequence.special_tokens_mask;
      response.details.continues_word = continues_word(sequence);
      response.details.text = sequence.text;
    }
    const bool score = kind_ == Kind::kScore;
    response.outputs.push_back({score ? "score" : "probs", shape, std::move(probs), {}});
    response.outputs.push_back({score ? "logit" : "logits", shape, std::move(logits), {}});
    return response;
  }

 private:
  // The rule of transformers' pipeline: by the mark that such tokens bear, and where a vocabulary has no marks by the
  // blank that stands before words.
  std::vector<uint8_t> continues_word(const Sequence& sequence) const {
    const std::string& text = sequence.text;
    std::vector<uint8_t> out(sequence.size());
    for (size_t t = 0; t < out.size(); ++t) {
      const auto [begin, end] = t < sequence.offsets.size() ? sequence.offsets[t] : Offset{};
      if (sequence.ids[t] == words_.unknown || begin > end || end > text.size()) continue;
      if (words_.marks) {
        out[t] = characters(tokenizer_->token(sequence.ids[t])) !=
                 characters(std::string_view(text).substr(begin, end - begin));
      } else {
        out[t] = begin > 0 && text[begin - 1] != ' ' && (begin == text.size() || text[begin] != ' ');
      }
    }
    return out;
  }

  Kind kind_;
  size_t labels_;
  ScoreActivation activation_;
  const Tokenizer* tokenizer_;
  WordRule words_;
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
