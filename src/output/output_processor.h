// OutputProcessor seam: the rows of one sequence, hidden states or what a head made of them -> the response.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/registry.h"
#include "loader/score_activation.h"
#include "loader/sentence_transformers.h"
#include "model/head.h"
#include "stage/job.h"
#include "wde/response.h"
#include "wde/result.h"

namespace wde {

class Tokenizer;

struct OutputConfig {
  const SentenceTransformersSpec* spec = nullptr;  // the model's pooling, Dense, Normalize
  size_t hidden_size = 0;
  std::string pooling;  // --pooling; "" : the model's
  const Tokenizer* tokenizer = nullptr;
  std::optional<HeadResult> head;   // what the columns of the rows are; nullopt: hidden states
  std::vector<std::string> labels;  // of the classes
  ScoreActivation score_activation = ScoreActivation::kNone;
};

class OutputProcessor {
 public:
  virtual ~OutputProcessor() = default;
  virtual RowsNeeded rows_needed() const = 0;                 // of the hidden states, where there is no head
  virtual bool wants_prompt_tokens() const { return false; }  // Sequence::prompt_tokens
  virtual bool wants_offsets() const { return false; }        // Sequence::offsets
  virtual size_t dimensions() const = 0;                      // of a row of the answer; 0: none
  // `rows`: all rows of the sequence, or the one that rows_needed() names; behind a head, the head's. Fills the
  // outputs.
  virtual Result<Response> process(const Sequence& sequence, View<const float> rows) const = 0;
};

// What a processor answers instead of numbers that are none: a NaN or an infinity among its rows or outputs.
inline Error not_finite() { return {ErrorCode::kInternal, "the model's output is not finite for this input"}; }

using OutputProcessorFactory = std::function<std::unique_ptr<OutputProcessor>(const OutputConfig&)>;
Registry<OutputProcessorFactory>& output_processors();

}  // namespace wde
