// Intake: which of the texts that wait is tokenized next, with and without requests told apart.
#include "schedule/intake.h"

#include <gtest/gtest.h>

namespace wde {
namespace {

Submitted text(RequestId id, uint64_t group, int priority = 0) {
  Submitted out;
  out.id = id;
  out.group = group;
  out.request.input = "text " + std::to_string(id);
  out.request.sharing.priority = priority;
  return out;
}

// The ids in the order in which they come, each tokenized to so many tokens that wait.
std::vector<RequestId> all_of(Intake& intake, size_t tokens) {
  std::vector<RequestId> out;
  while (intake.has_next(true)) {
    const Submitted next = intake.next();
    EXPECT_EQ(std::get<std::string>(next.request.input), "text " + std::to_string(next.id));
    intake.tokenized(next.group, tokens);
    out.push_back(next.id);
  }
  return out;
}

TEST(Intake, KeepsTheOrderOfArrivalWhereRequestsAreNotToldApart) {
  Intake intake(false);
  EXPECT_TRUE(intake.empty());
  EXPECT_FALSE(intake.has_next(true));
  intake.add(text(1, 10));
  intake.add(text(2, 20, -5));
  intake.add(text(3, 10));
  intake.add(text(4, 30));
  EXPECT_FALSE(intake.has_next(false)) << "enough waits";
  EXPECT_EQ(all_of(intake, 50), (std::vector<RequestId>{1, 2, 3, 4}));
  EXPECT_TRUE(intake.empty());
}

TEST(Intake, EstimatesTheTokensThatAreLeftOfAGroup) {
  Intake intake(true);
  for (RequestId id = 1; id <= 3; ++id) {
    Submitted submitted = text(id, 10);
    submitted.bytes = 40 * id;
    intake.add(std::move(submitted));
  }
  EXPECT_EQ(intake.tokens_left(10), 240u / 4 + 3);
  EXPECT_EQ(intake.next().id, 1u);
  EXPECT_EQ(intake.tokens_left(10), 200u / 4 + 2);
  EXPECT_TRUE(intake.cancel(3));
  EXPECT_EQ(intake.tokens_left(10), 80u / 4 + 1);
}

TEST(Intake, TheRequestWithTheFewestWaitingTokensIsNext) {
  Intake intake(true);
  for (RequestId id = 1; id <= 4; ++id) intake.add(text(id, 10));
  intake.add(text(5, 20));
  intake.add(text(6, 20));
  EXPECT_EQ(all_of(intake, 50), (std::vector<RequestId>{1, 5, 2, 6, 3, 4}));
}

TEST(Intake, ARequestOfWhichNothingWaitsIsTokenizedHoweverMuchWaits) {
  Intake intake(true);
  for (RequestId id = 1; id <= 3; ++id) intake.add(text(id, 10));
  EXPECT_TRUE(intake.has_next(false));
  EXPECT_EQ(intake.next().id, 1u);
  intake.tokenized(10, 100);
  EXPECT_FALSE(intake.has_next(false)) << "of this one something waits";
  EXPECT_TRUE(intake.has_next(true));
  intake.add(text(4, 20));
  EXPECT_TRUE(intake.has_next(false));
  EXPECT_EQ(intake.next().id, 4u);
  intake.tokenized(20, 5);
  EXPECT_FALSE(intake.has_next(false));
  intake.leave(10, 100);
  EXPECT_TRUE(intake.has_next(false)) << "what waited was given to the workers";
  EXPECT_EQ(intake.next().id, 2u);
}

TEST(Intake, AnEarlierPriorityIsTokenizedFirst) {
  Intake intake(true);
  intake.add(text(1, 10, 5));
  intake.add(text(2, 20, 0));
  intake.add(text(3, 30, -5));
  EXPECT_EQ(all_of(intake, 50), (std::vector<RequestId>{3, 2, 1}));
}

TEST(Intake, CancelledTextsAreGone) {
  Intake intake(true);
  for (RequestId id = 1; id <= 3; ++id) intake.add(text(id, 10));
  intake.add(text(4, 20));
  EXPECT_FALSE(intake.cancel(77));
  const auto cancelled = intake.cancel(1);
  ASSERT_TRUE(cancelled);
  EXPECT_EQ(cancelled->id, 1u);
  EXPECT_EQ(cancelled->group, 10u);
  EXPECT_FALSE(intake.cancel(1)) << "twice";
  EXPECT_TRUE(intake.cancel(4));
  EXPECT_EQ(all_of(intake, 50), (std::vector<RequestId>{2, 3}));
  EXPECT_FALSE(intake.cancel(2)) << "it was given away";
  EXPECT_TRUE(intake.empty());
}

// A group is forgotten with its last text: what it began holds for those that it still has, and for none that comes
// later by its number.
TEST(Intake, AGroupThatBeganHasBegunUntilItsLastTextLeft) {
  Intake intake(true);
  intake.add(text(1, 10));
  intake.add(text(2, 10));
  EXPECT_FALSE(intake.has_begun(10));
  intake.next();
  intake.tokenized(10, 50);
  intake.begin(10);
  intake.leave(10, 50);
  EXPECT_TRUE(intake.has_begun(10)) << "one of its texts waits";
  EXPECT_TRUE(intake.cancel(2));
  intake.add(text(3, 10));
  EXPECT_FALSE(intake.has_begun(10));
  EXPECT_TRUE(intake.has_next(false)) << "none of its tokens waits any more";
}

}  // namespace
}  // namespace wde
