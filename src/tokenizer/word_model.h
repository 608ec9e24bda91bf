// WordPiece and Unigram on words of ASCII characters, as the tokenizers crate computes them. Words come normalized. The
// code 0 stands for U+2581, Unigram's mark of a word's beginning; NUL itself is never part of a word here.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "wde_tokenizer.h"

namespace wde {

// Memory of a computation, used again for the next word.
struct WordScratch {
  struct Node {  // the best way to a place in the word
    double score;
    uint32_t begin;  // of its last piece
    int32_t id;
  };
  std::vector<Node> nodes;
};

class WordModel {
 public:
  virtual ~WordModel() = default;
  // Appends the ids of one word of at least one character.
  virtual void encode(std::string_view word, WordScratch& scratch, std::vector<int32_t>& ids) const = 0;
};

// With the pieces of the crate's model.
std::unique_ptr<WordModel> make_word_model(const wde_tokenizer* crate, const wde_tokenizer_words& words);

}  // namespace wde
