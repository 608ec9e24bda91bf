#include "cli/error_tally.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace wde::cli {
namespace {

TEST(ErrorTally, TellsTheFirstOfEachKindAndCountsTheOthers) {
  ErrorTally tally;
  int shown = 0;
  for (int i = 0; i < 1500; ++i) {
    const std::string where = "a, line " + std::to_string(i);
    shown += tally.add("found \"" + where + "\" (of " + where + ") and " + std::to_string(i), where) ? 1 : 0;
    EXPECT_EQ(tally.in_a_row(), 1U);
    shown += tally.add("another", where) ? 1 : 0;
  }
  EXPECT_EQ(shown, 40);
  const std::vector<std::string> expected = {"... and 1,480 more like a, line 0", "... and 1,480 more like a, line 0"};
  EXPECT_EQ(tally.not_shown(), expected);
}

TEST(ErrorTally, CountsThoseInARow) {
  ErrorTally tally;
  for (uint64_t i = 1; i <= 3; ++i) {
    tally.add("one", "");
    EXPECT_EQ(tally.in_a_row(), i);
  }
  tally.success();
  tally.add("one", "");
  EXPECT_EQ(tally.in_a_row(), 1U);
  EXPECT_TRUE(tally.not_shown().empty());
}

TEST(ErrorTally, KeepsABoundedNumberOfKinds) {
  ErrorTally tally;
  size_t shown = 0;
  for (size_t i = 0; i < 1000; ++i) shown += tally.add(std::string(i + 1, 'x'), "") ? 1 : 0;
  EXPECT_EQ(shown, ErrorTally::kMaxKinds + ErrorTally::kShown);
  EXPECT_EQ(tally.not_shown(), std::vector<std::string>{"... and 930 more, in other ways"});
}

}  // namespace
}  // namespace wde::cli
