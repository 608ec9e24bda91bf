// Ids of a text word by word: words of ASCII characters are normalized here, what others become is asked of the crate
// and remembered. Why that gives the crate's ids: rust/tokenizer/src/words.rs.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "wde_tokenizer.h"

namespace wde {

// Words with other characters than ASCII that the crate has tokenized. Bounded: when full, it begins anew.
class WordCache {
 public:
  bool append(std::string_view word, std::vector<int32_t>& ids) const;  // false: not known
  void add(std::string_view word, const int32_t* ids, size_t count);

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view word) const { return std::hash<std::string_view>()(word); }
  };
  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::vector<int32_t>, Hash, std::equal_to<>> words_;
};

// Any number of threads may use one.
class WordTokenizer {
 public:
  // `words` is what wde_tokenizer_words_of() says of the crate's tokenizer, which must live longer.
  WordTokenizer(const wde_tokenizer* crate, const wde_tokenizer_words& words);

  // Appends the ids of a text, without special tokens, to `ids`, which is empty. What follows the word that brings more
  // than `limit` tokens is not read, but valid UTF-8. False: the crate has to see the whole text, and `ids` mean
  // nothing.
  bool encode(std::string_view text, size_t limit, std::vector<int32_t>& ids) const;

 private:
  struct Text;
  bool read_word(Text& text, std::vector<int32_t>& ids) const;
  bool encode_words(Text& text, std::vector<int32_t>& ids) const;
  bool encode_foreign(std::string_view word, std::vector<int32_t>& ids) const;

  const wde_tokenizer* crate_;
  std::string_view mark_;  // that each word begins with
  std::vector<int32_t> tail_;
  std::array<uint8_t, 256> becomes_;  // as wde_tokenizer_words.ascii
  std::array<bool, 256> begins_added_;
  mutable WordCache foreign_;
};

}  // namespace wde
