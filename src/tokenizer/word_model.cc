#include "tokenizer/word_model.h"

#include <algorithm>
#include <optional>
#include <string>

#include "tokenizer/piece_trie.h"

namespace wde {

namespace {

constexpr std::string_view kMark = "\xE2\x96\x81";  // U+2581

// In the codes of word_model.h; none if no word of ASCII characters can hold the piece.
std::optional<std::string> to_codes(std::string_view piece) {
  std::string codes;
  while (!piece.empty()) {
    const bool mark = piece.starts_with(kMark);
    if (!mark && (piece[0] == '\0' || static_cast<uint8_t>(piece[0]) >= 128)) return std::nullopt;
    codes.push_back(mark ? '\0' : piece[0]);
    piece.remove_prefix(mark ? kMark.size() : 1);
  }
  if (codes.empty()) return std::nullopt;
  return codes;
}

struct Pieces {
  std::vector<PieceTrie::Piece> begin, inside;
  std::vector<double> scores;  // by id

  explicit Pieces(const wde_tokenizer* crate) {
    wde_tokenizer_pieces(
        crate,
        [](void* pieces, const char* text, size_t length, uint32_t id, double score, bool continues) {
          static_cast<Pieces*>(pieces)->add({text, length}, id, score, continues);
        },
        this);
  }

  void add(std::string_view text, uint32_t id, double score, bool continues) {
    auto codes = to_codes(text);
    if (!codes) return;
    (continues ? inside : begin).push_back({std::move(*codes), static_cast<int32_t>(id)});
    if (scores.size() <= id) scores.resize(id + size_t{1});
    scores[id] = score;
  }
};

// The longest piece that fits, again and again; if none does, the whole word is unknown.
class WordPiece final : public WordModel {
 public:
  WordPiece(Pieces pieces, const wde_tokenizer_words& words)
      : begin_(std::move(pieces.begin)),
        inside_(std::move(pieces.inside)),
        longest_(words.longest),
        unknown_(static_cast<int32_t>(words.unknown)) {}

  void encode(std::string_view word, WordScratch&, std::vector<int32_t>& ids) const override {
    const size_t first = ids.size();
    const PieceTrie* trie = &begin_;
    size_t at = word.size() > longest_ ? word.size() : 0;
    bool known = at == 0;
    while (at < word.size() && known) {
      int32_t id = -1;
      uint32_t node = PieceTrie::kRoot;
      size_t end = at;
      for (size_t i = at; i < word.size(); ++i) {
        node = trie->next(node, static_cast<uint8_t>(word[i]));
        if (node == PieceTrie::kNone) break;
        if (trie->id(node) >= 0) {
          id = trie->id(node);
          end = i + 1;
        }
      }
      known = id >= 0;
      ids.push_back(id);
      at = end;
      trie = &inside_;
    }
    if (!known) {
      ids.resize(first);
      ids.push_back(unknown_);
    }
  }

 private:
  PieceTrie begin_, inside_;
  size_t longest_;
  int32_t unknown_;
};

// The pieces with the greatest sum of scores. Sums are made and compared in the crate's order: of equal ones the first
// counts.
class Unigram final : public WordModel {
 public:
  Unigram(Pieces pieces, const wde_tokenizer_words& words)
      : pieces_(std::move(pieces.begin)),
        scores_(std::move(pieces.scores)),
        unknown_score_(words.unknown_score),
        unknown_(static_cast<int32_t>(words.unknown)) {}

  void encode(std::string_view word, WordScratch& scratch, std::vector<int32_t>& ids) const override {
    constexpr uint32_t kNowhere = UINT32_MAX;
    auto& nodes = scratch.nodes;
    nodes.assign(word.size() + 1, {0.0, kNowhere, 0});
    for (size_t begin = 0; begin < word.size(); ++begin) {
      const double score = nodes[begin].score;
      const auto offer = [&](size_t end, double candidate, int32_t id) {
        WordScratch::Node& node = nodes[end];
        if (node.begin == kNowhere || candidate > node.score) node = {candidate, static_cast<uint32_t>(begin), id};
      };
      bool single = false;  // a piece of one character begins here
      uint32_t trie = PieceTrie::kRoot;
      for (size_t i = begin; i < word.size(); ++i) {
        trie = pieces_.next(trie, static_cast<uint8_t>(word[i]));
        if (trie == PieceTrie::kNone) break;
        const int32_t id = pieces_.id(trie);
        if (id < 0) continue;
        offer(i + 1, scores_[static_cast<size_t>(id)] + score, id);
        single |= i == begin;
      }
      if (!single) offer(begin + 1, unknown_score_ + score, unknown_);
    }

    const size_t first = ids.size();
    for (size_t end = word.size(); end > 0;) {
      size_t begin = nodes[end].begin;
      int32_t id = nodes[end].id;
      if (id == unknown_) {
        // Unknown pieces side by side are one, which may be in the vocabulary after all.
        while (begin > 0 && nodes[begin].id == unknown_) begin = nodes[begin].begin;
        const int32_t found = pieces_.find(word.substr(begin, end - begin));
        if (found >= 0) id = found;
      }
      ids.push_back(id);
      end = begin;
    }
    std::reverse(ids.begin() + static_cast<std::ptrdiff_t>(first), ids.end());
  }

 private:
  PieceTrie pieces_;
  std::vector<double> scores_;
  double unknown_score_;
  int32_t unknown_;
};

}  // namespace

std::unique_ptr<WordModel> make_word_model(const wde_tokenizer* crate, const wde_tokenizer_words& words) {
  Pieces pieces(crate);
  if (words.family == WDE_TOKENIZER_WORDPIECE) return std::make_unique<WordPiece>(std::move(pieces), words);
  return std::make_unique<Unigram>(std::move(pieces), words);
}

}  // namespace wde
