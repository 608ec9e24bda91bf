#include "tokenizer/word_tokenizer.h"

#include <algorithm>

namespace wde {

namespace {

constexpr size_t kCachedWords = 1 << 14;
constexpr size_t kManyBytes = 1024;      // of words that wait
constexpr size_t kLongestForeign = 128;  // bytes. Longer ones are whole sentences without blanks: the crate's

}  // namespace

bool WordCache::append(std::string_view word, std::vector<int32_t>& ids) const {
  const std::scoped_lock lock(mutex_);
  const auto found = words_.find(word);
  if (found == words_.end()) return false;
  ids.insert(ids.end(), found->second.begin(), found->second.end());
  return true;
}

void WordCache::add(std::string_view word, const int32_t* ids, size_t count) {
  const std::scoped_lock lock(mutex_);
  if (words_.size() >= kCachedWords) words_.clear();
  words_.try_emplace(std::string(word), ids, ids + count);
}

// A text, and how far it has been read.
struct WordTokenizer::Text {
  std::string_view text;
  size_t at = 0;
  bool searched = false;       // for added tokens; there are none
  bool ends_in_blank = false;  // what has been read, but for characters that are dropped
  std::string words;           // normalized, each with NUL behind it, that wait for their ids
};

WordTokenizer::WordTokenizer(const wde_tokenizer* crate, const wde_tokenizer_words& words)
    : crate_(crate),
      mark_(words.family == WDE_TOKENIZER_UNIGRAM ? "\xE2\x96\x81" : ""),  // U+2581
      tail_(words.tail, words.tail + words.tail_size) {
  becomes_.fill(WDE_TOKENIZER_FOREIGN);
  std::copy(std::begin(words.ascii), std::end(words.ascii), becomes_.begin());
  std::copy(std::begin(words.begins_added), std::end(words.begins_added), begins_added_.begin());
}

bool WordTokenizer::encode(std::string_view text, size_t limit, std::vector<int32_t>& ids) const {
  Text t;
  t.text = text;
  while (t.at < text.size()) {
    if (becomes_[static_cast<uint8_t>(text[t.at])] == WDE_TOKENIZER_BLANK) {
      t.ends_in_blank = true;
      ++t.at;
    } else if (ids.size() > limit) {
      return wde_tokenizer_is_utf8(text.data() + t.at, text.size() - t.at);
    } else if (!read_word(t, ids) || (t.words.size() > kManyBytes && !encode_words(t, ids))) {
      return false;
    }
  }
  if (!encode_words(t, ids)) return false;
  if (t.ends_in_blank) ids.insert(ids.end(), tail_.begin(), tail_.end());
  return true;
}

// Reads up to the next blank.
bool WordTokenizer::read_word(Text& t, std::vector<int32_t>& ids) const {
  const size_t begin = t.at, before = t.words.size();
  size_t word = before;  // where it begins, with the mark
  const auto end_word = [&] {
    if (t.words.size() == word + mark_.size()) return;
    t.words.push_back('\0');
    t.ends_in_blank = false;
    word = t.words.size();
    t.words.append(mark_);
  };
  bool foreign = false;
  t.words.append(mark_);
  for (; t.at < t.text.size(); ++t.at) {
    const auto c = static_cast<uint8_t>(t.text[t.at]);
    if (begins_added_[c] && !t.searched) {
      if (wde_tokenizer_may_hold_added(crate_, t.text.data(), t.text.size())) return false;
      t.searched = true;
    }
    const uint8_t becomes = becomes_[c];
    if (becomes == WDE_TOKENIZER_BLANK) break;
    if (foreign) continue;
    if (becomes < 128) {
      t.words.push_back(static_cast<char>(becomes));
    } else if (becomes == WDE_TOKENIZER_PUNCTUATION) {
      end_word();
      t.words.push_back(static_cast<char>(c));
      end_word();
    } else if (becomes == WDE_TOKENIZER_FOREIGN) {
      foreign = true;
    }
  }
  if (!foreign) {
    end_word();
    t.words.resize(word);
    return true;
  }
  t.words.resize(before);
  t.ends_in_blank = false;
  return encode_words(t, ids) && encode_foreign(t.text.substr(begin, t.at - begin), ids);
}

bool WordTokenizer::encode_words(Text& t, std::vector<int32_t>& ids) const {
  if (t.words.empty()) return true;
  const size_t had = ids.size();
  ids.resize(had + t.words.size());
  const int64_t count = wde_tokenizer_pieces(crate_, t.words.data(), t.words.size(), ids.data() + had);
  ids.resize(had + static_cast<size_t>(std::max<int64_t>(count, 0)));
  t.words.clear();
  return count >= 0;
}

bool WordTokenizer::encode_foreign(std::string_view word, std::vector<int32_t>& ids) const {
  if (word.size() > kLongestForeign) return false;
  if (foreign_.append(word, ids)) return true;
  // A character of at least two bytes may become 18 others in compatibility forms.
  std::array<int32_t, 18 * kLongestForeign> found;
  const int64_t count = wde_tokenizer_word(crate_, word.data(), word.size(), found.data(), found.size());
  if (count < 0) return false;
  ids.insert(ids.end(), found.begin(), found.begin() + count);
  foreign_.add(word, found.data(), static_cast<size_t>(count));
  return true;
}

}  // namespace wde
