// OutputProcessor seam: the hidden rows of one sequence -> the response.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/registry.h"
#include "loader/sentence_transformers.h"
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
};

class OutputProcessor {
 public:
  virtual ~OutputProcessor() = default;
  virtual RowsNeeded rows_needed() const = 0;
  virtual bool wants_prompt_tokens() const { return false; }  // Sequence::prompt_tokens
  virtual bool wants_offsets() const { return false; }        // Sequence::offsets
  virtual size_t dimensions() const = 0;                      // of a row of the answer; 0: none
  // `hidden`: all rows of the sequence, or the one that rows_needed() names. Fills the outputs.
  virtual Result<Response> process(const Sequence& sequence, View<const float> hidden) const = 0;
};

using OutputProcessorFactory = std::function<std::unique_ptr<OutputProcessor>(const OutputConfig&)>;
Registry<OutputProcessorFactory>& output_processors();

}  // namespace wde
