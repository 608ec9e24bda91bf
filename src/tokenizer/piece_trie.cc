#include "tokenizer/piece_trie.h"

#include <algorithm>

namespace wde {

namespace {

// Pieces that begin with the same `depth` codes: the children of `node` come from them.
struct Range {
  uint32_t node;
  size_t begin, end, depth;
};

}  // namespace

PieceTrie::PieceTrie(std::vector<Piece> pieces) : units_(2 * kCodes) {
  std::stable_sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) { return a.text < b.text; });
  units_[kRoot].parent = kRoot;  // in use; no piece has an empty text, so nobody takes it for a child
  std::vector<Range> ranges = {{kRoot, 0, pieces.size(), 0}};
  while (!ranges.empty()) {
    Range range = ranges.back();
    ranges.pop_back();
    // Those that end here come first.
    while (range.begin < range.end && pieces[range.begin].text.size() == range.depth)
      units_[range.node].id = pieces[range.begin++].id;

    std::string codes;
    for (size_t i = range.begin; i < range.end; ++i) {
      const char code = pieces[i].text[range.depth];
      if (codes.empty() || codes.back() != code) codes.push_back(code);
    }
    if (codes.empty()) continue;
    const uint32_t base = find_base(codes);
    units_[range.node].base = base;
    for (const char code : codes) {
      const uint32_t child = base + static_cast<uint8_t>(code);
      units_[child].parent = range.node;
      const size_t begin = range.begin;
      while (range.begin < range.end && pieces[range.begin].text[range.depth] == code) ++range.begin;
      ranges.push_back({child, begin, range.begin, range.depth + 1});
    }
  }
}

// A base with a free unit for each of the codes, which ascend.
uint32_t PieceTrie::find_base(std::string_view codes) {
  // Regions that are nearly full are not searched again and again: what is free there stays so.
  constexpr size_t kTries = 128;
  const size_t lowest = static_cast<uint8_t>(codes.front());
  while (units_[first_free_].parent != kNone) ++first_free_;
  size_t base = first_free_ > lowest ? first_free_ - lowest : 1;
  for (size_t tries = 0;; ++base) {
    if (units_.size() < base + 2 * kCodes) units_.resize(2 * (base + 2 * kCodes));
    const auto is_free = [&](char code) { return units_[base + static_cast<uint8_t>(code)].parent == kNone; };
    if (std::all_of(codes.begin(), codes.end(), is_free)) break;
    if (++tries == kTries) first_free_ = std::max(first_free_, base);
  }
  return static_cast<uint32_t>(base);
}

int32_t PieceTrie::find(std::string_view text) const noexcept {
  uint32_t node = kRoot;
  for (const char code : text) {
    node = next(node, static_cast<uint8_t>(code));
    if (node == kNone) return -1;
  }
  return id(node);
}

}  // namespace wde
