// ErrorTally: the errors of a run by their kind, so that thousands of equal ones are not thousands of sentences.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace wde::cli {

class ErrorTally {
 public:
  static constexpr uint64_t kShown = 20;   // of each kind
  static constexpr size_t kMaxKinds = 50;  // all later ones count as one
  // Counts the error of the line `where`; returns whether to show it. Numbers and quoted words make no other kind.
  bool add(std::string_view problem, std::string_view where);
  void success() { in_a_row_ = 0; }
  uint64_t in_a_row() const { return in_a_row_; }  // of one kind
  // A sentence for each kind of which more have come than were shown.
  std::vector<std::string> not_shown() const;

 private:
  struct Kind {
    std::string name;   // "": all that come after kMaxKinds
    std::string where;  // the first of them
    uint64_t count = 0;
  };

  std::vector<Kind> kinds_;
  std::string last_;
  uint64_t in_a_row_ = 0;
};

}  // namespace wde::cli
