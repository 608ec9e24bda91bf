// The pieces of a vocabulary as a trie over 128 codes, in one array (a double array, after Aoe): a step is an addition,
// a load and a comparison.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace wde {

class PieceTrie {
 public:
  struct Piece {
    std::string text;  // of codes below 128, not empty
    int32_t id;
  };
  static constexpr uint32_t kRoot = 0;
  static constexpr uint32_t kNone = UINT32_MAX;

  // Of equal pieces the last one counts.
  explicit PieceTrie(std::vector<Piece> pieces = {});

  // The node behind `node` for the next code, or kNone.
  uint32_t next(uint32_t node, uint8_t code) const noexcept {
    const uint32_t child = units_[node].base + code;
    return units_[child].parent == node ? child : kNone;
  }
  int32_t id(uint32_t node) const noexcept { return units_[node].id; }  // -1: no piece ends here
  int32_t find(std::string_view text) const noexcept;                   // -1: no such piece

 private:
  struct Unit {
    uint32_t base = 0;        // its children are at base + code
    uint32_t parent = kNone;  // kNone: free
    int32_t id = -1;
  };
  static constexpr size_t kCodes = 128;

  uint32_t find_base(std::string_view codes);
  std::vector<Unit> units_;  // as many behind the last one in use as there are codes, so that next() stays inside
  size_t first_free_ = 1;
};

}  // namespace wde
