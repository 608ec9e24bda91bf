// Tokenizer seam: texts -> ids, type ids, offsets, special-token mask. Batch call, no padding, thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/registry.h"
#include "stage/sequence.h"
#include "wde/result.h"

namespace wde {

// What a tokenizer is made from; `directory` is the model's.
struct TokenizerConfig {
  std::string directory;
  bool lowercase = false;  // sentence_bert_config.json's do_lower_case
  size_t threads = 1;      // for one batch call
  bool special_tokens = true;
  bool alone = false;  // tokenizer.json as it is, without what the files beside it say of it
};

// What tells whether a token begins a word.
struct WordRule {
  bool marks = false;    // tokens that continue a word are spelled with a mark ("##ing")
  int64_t unknown = -1;  // the id of the token for what is unknown
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // One result a job, in order. A job with ready ids is checked against the vocabulary and passed through.
  // Longer than max_length or the job's own (in tokens, special ones included): cut as the reference does (the special
  // tokens stay; of a pair the longer part is cut first), `truncated` set; at the beginning or not at all if the job
  // says so. Invalid UTF-8: an error that gives the byte's position.
  virtual std::vector<Result<Sequence>> encode(std::span<const TokenizeJob> jobs, size_t max_length,
                                               bool want_offsets) const = 0;

  virtual std::string token(int32_t id) const = 0;  // as the vocabulary spells it; "" if there is no such id
  virtual std::optional<int32_t> id(std::string_view token) const = 0;
  virtual Result<std::string> decode(const std::vector<int32_t>& ids, bool skip_special_tokens) const = 0;
  virtual size_t vocabulary_size() const = 0;  // added tokens included
  virtual WordRule word_rule() const = 0;
  virtual std::vector<std::string> notes() const { return {}; }  // what the user should know about the files
};

using TokenizerFactory = std::function<std::unique_ptr<Tokenizer>(const TokenizerConfig&)>;
Registry<TokenizerFactory>& tokenizers();

// The tokenizer of this name. For "auto", which the name is replaced for: "native" where it knows the directory's
// tokenizer, else "hf". Throws LoadError, UsageError.
std::unique_ptr<Tokenizer> open_tokenizer(std::string& name, const TokenizerConfig& config);

}  // namespace wde
