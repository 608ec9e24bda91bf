// What the engine answers: named arrays, float32, row-major.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace wde {

// One array of a response. The workflow decides which there are:
//   embed           "embedding" [dim]
//   token_embed     "hidden"    [tokens, hidden_size]
//   score           "score"     []  behind the model's activation, "logit" [] before it (late interaction: none)
//   classify        "probs"     [labels]  behind the model's activation, "logits" [labels] before it
//   token_classify  "probs"     [tokens, labels], "logits" [tokens, labels]; `details` has the offsets
//   sparse          "sparse"    [n]: ids, ascending, and their weights > 0 in `values`
//   multi_vector    "vectors"   [vectors, dim]
//   all             of a model that gives several in one pass (bge-m3): "embedding", "sparse", "vectors"
//   tokenize        "ids"       [tokens]          (in `ids`; `values` is empty)
struct Output {
  std::string name;
  std::vector<size_t> shape;
  std::vector<float> values;
  std::vector<int32_t> ids;
};

// Byte range [begin, end) of a token in the UTF-8 text that it came from; {0, 0} for special tokens.
struct Offset {
  uint32_t begin = 0;
  uint32_t end = 0;
};

// Only the tokenize and token_classify workflows fill this.
struct TokenDetails {
  std::vector<std::string> tokens;           // as the vocabulary spells them
  std::vector<int32_t> type_ids;             // segment ids
  std::vector<Offset> offsets;               // into the prompted text; of the document for the pair's second part
  std::vector<uint8_t> special_tokens_mask;  // 1: added by the post-processor
  // Of token_classify only:
  std::vector<uint8_t> continues_word;  // 1: the token is a further part of a word
  std::string text;                     // that the offsets point into, prompt included; "" of a pair
};

// When a request reached which stage. Others that were tokenized or executed with it are part of its time.
struct Timing {
  using Point = std::chrono::steady_clock::time_point;
  Point submitted;
  Point tokenizing, tokenized;
  Point executing, executed;  // where nothing is executed: as `tokenized`
  Point answered;

  // Seconds. The first three make up the last but for the output's stage.
  double tokenization() const { return seconds(tokenized - tokenizing); }
  double waiting() const { return seconds((tokenizing - submitted) + (executing - tokenized)); }
  double inference() const { return seconds(executed - executing); }
  double total() const { return seconds(answered - submitted); }

 private:
  static double seconds(Point::duration d) { return std::chrono::duration<double>(d).count(); }
};

struct Response {
  std::vector<Output> outputs;
  size_t tokens = 0;       // real tokens, special ones included
  bool truncated = false;  // the input was cut to the maximum length
  TokenDetails details;
  Timing timing;
};

}  // namespace wde
