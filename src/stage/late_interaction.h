// How a late-interaction model (ColBERT) wants its queries and documents: data for the tokenizer and the output.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace wde {

// Which of the two a text is, for models that treat them differently.
enum class Side { kNone, kQuery, kDocument };

struct LateInteraction {
  // Inserted as one token behind the first special one; where the vocabulary does not have it, text before the text.
  std::string query_marker, document_marker;
  size_t query_length = 0, document_length = 0;  // tokens, special ones and marker included; 0: the model's maximum

  // Queries are filled up to expanded_length with a token of which the vectors count.
  enum class Expansion { kNone, kFixed, kAtLeast } expansion = Expansion::kNone;
  size_t expanded_length = 0;
  bool attend = false;          // the text's tokens see those that fill up
  std::string expansion_token;  // "": [MASK], <mask> or the tokenizer's own name of it

  std::vector<std::string> skipped_words;  // tokens whose vectors are dropped ...
  bool skip_in_queries = false, skip_in_documents = true;
};

}  // namespace wde
