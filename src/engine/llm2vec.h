// LLM2Vec's way with a text, of a model that has a llm2vec_config.json and no modules.json: marks of the chat that its
// base was trained on go round the text, a long text loses words, and the pooling sees the tokens of the text itself,
// neither those of the instruction before it nor the one that begins every text. Source: McGill-NLP/llm2vec,
// llm2vec.py.
#pragma once

#include <optional>
#include <string>

#include "engine/model_files.h"
#include "loader/sentence_transformers.h"
#include "tokenizer/tokenizer.h"

namespace wde {

class Llm2Vec {
 public:
  // nullopt: there is no such file. Throws LoadError.
  static std::optional<Llm2Vec> read(const ModelFiles& files, const ConfigView& config);

  // Pooling and maximum length.
  void apply_to(SentenceTransformersSpec& spec) const;
  // Of a single text: rewrites `text` and sets `text_tokens`.
  void prepare(const Tokenizer& tokenizer, TokenizeJob& job) const;

 private:
  size_t count(const Tokenizer& tokenizer, const std::string& text) const;  // tokens, no special ones
  std::string shorten(const Tokenizer& tokenizer, std::string text) const;

  std::string file_;
  Pooling pooling_ = Pooling::kMean;
  size_t max_length_ = 0, doc_max_length_ = 0;  // tokens; of all, and of the text alone
  bool skip_instruction_ = true;
  std::string before_, after_;
};

}  // namespace wde
