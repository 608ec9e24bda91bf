// fair: whose turn it is, what fills a batch, how long one is, and that nothing is left of what is cancelled.
#include <gtest/gtest.h>

#include <chrono>
#include <set>

#include "bench/schedule/random.h"
#include "schedule/fair_queue.h"
#include "schedule/scheduler.h"

namespace wde {
namespace {

using simulation::Random;
using Ids = std::vector<RequestId>;

// A millisecond a token, and 8 a batch.
const CostModel& cost() {
  static const CostModel model({.token_operations = 1e6, .layers = {}}, 1e9);
  return model;
}

struct Asked {
  uint64_t flow = 1, group = 1;
  size_t tokens = 10;
  double weight = 1;
  int priority = 0;
  size_t left = 0;  // tokens of its request that are not tokenized yet
};

Sequence sequence(RequestId id, const Asked& asked) {
  Sequence s;
  s.id = id;
  s.ids.assign(asked.tokens, 1);
  s.options.sharing = {asked.flow, asked.weight, asked.priority};
  s.options.group = asked.group;
  s.group_left = asked.left;
  return s;
}

class Fair : public ::testing::Test {
 protected:
  explicit Fair(double bulk_share = 0.05) {
    SchedulerConfig config;
    config.cost = &cost();
    config.batch_seconds = 0.1;
    config.bulk_share = bulk_share;
    scheduler_ = schedulers().get("fair")(config);
  }

  RequestId add(const Asked& asked) {
    scheduler_->add(sequence(++last_, asked));
    return last_;
  }
  void add(size_t count, const Asked& asked) {
    for (; count > 0; --count) add(asked);
  }
  std::vector<Sequence> next(size_t tokens) {
    std::vector<Sequence> batch;
    now_ += std::chrono::milliseconds(1);
    scheduler_->next_batch({.tokens = tokens, .now = now_}, batch);
    return batch;
  }
  Ids ids(size_t tokens = 1) {
    Ids out;
    for (const Sequence& s : next(tokens)) out.push_back(s.id);
    return out;
  }

  std::unique_ptr<Scheduler> scheduler_;
  RequestId last_ = 0;
  Clock::time_point now_{std::chrono::hours(1)};
};

TEST_F(Fair, FlowsTakeTurnsByTheirWork) {
  add(100, {.flow = 1, .tokens = 42});              // with what a batch costs: 50 ms
  add(100, {.flow = 2, .group = 2, .tokens = 17});  // 25 ms
  double work[3] = {};
  for (size_t i = 0; i < 90; ++i) {
    const auto batch = next(1);
    ASSERT_EQ(batch.size(), 1u);
    work[batch[0].options.sharing.flow] += cost().fixed_seconds() + cost().seconds(batch[0].size());
    EXPECT_LE(std::abs(work[1] - work[2]), 0.051) << "after " << i + 1 << " batches";
  }
}

TEST_F(Fair, AFlowOfThreeTimesTheWeightHasThreeTimesTheWork) {
  add(100, {.flow = 1});
  add(100, {.flow = 2, .group = 2, .weight = 3});
  size_t count[3] = {};
  for (size_t i = 0; i < 80; ++i) ++count[next(1).at(0).options.sharing.flow];
  EXPECT_EQ(count[1], 20u);
  EXPECT_EQ(count[2], 60u);
}

TEST_F(Fair, WhatAFlowDidNotAskForIsNotKeptForIt) {
  add(100, {.flow = 1});
  for (size_t i = 0; i < 50; ++i) next(1);
  add(100, {.flow = 2, .group = 2});
  size_t count[3] = {};
  for (size_t i = 0; i < 20; ++i) ++count[next(1).at(0).options.sharing.flow];
  EXPECT_NEAR(static_cast<double>(count[2]), 10, 1) << "no more than an equal part, from now on";
}

TEST_F(Fair, AFlowThatComesBackHasNotBeenForgotten) {
  add(100, {.flow = 1});
  const RequestId first = add({.flow = 2, .group = 2, .tokens = 300});
  size_t before = 0;
  while (ids()[0] != first) ++before;
  EXPECT_LE(before, 17u) << "300 ms of 18 each, and then 308 ms of work for the second flow";
  add(100, {.flow = 1});
  const RequestId again = add({.flow = 2, .group = 3, .tokens = 1});
  size_t batches = 1;
  while (ids()[0] != again) ++batches;
  EXPECT_GE(batches, 2u) << "though a new text is short";
  EXPECT_LE(batches, 19u);
}

TEST_F(Fair, AShortRequestOvertakesTheRestOfALongOne) {
  add(50, {.group = 1, .tokens = 20});
  next(1);
  const RequestId query = add({.group = 2, .tokens = 5});
  EXPECT_EQ(ids(), Ids{query});
}

TEST_F(Fair, AShortTextOfANewFlowDoesNotWaitForARoundOfTheOthers) {
  for (uint64_t flow = 1; flow <= 16; ++flow) add(10, {.flow = flow, .group = flow, .tokens = 250});
  for (size_t batch = 0; batch < 40; ++batch) {
    next(1);
    const RequestId query = add({.flow = 100 + batch, .group = 100 + batch, .tokens = 3});
    EXPECT_EQ(ids(), Ids{query}) << "after " << batch + 1 << " batches";
  }
}

TEST_F(Fair, ALongTextGrowsOld) {
  const RequestId lengthy = add({.group = 1, .tokens = 200});
  for (uint64_t i = 0; i < 10; ++i) add({.group = 10 + i, .tokens = 5});
  size_t batches = 0;
  for (bool found = false; !found && batches < 3'000; ++batches) {
    add({.group = 100 + batches, .tokens = 5});
    found = ids() == Ids{lengthy};
  }
  EXPECT_GT(batches, 10u) << "short ones go first";
  EXPECT_LT(batches, 1'600u) << "but not forever: 200 ms are reached by 13 / (8 * 12) a batch at least";
}

TEST_F(Fair, EqualRequestsOfAFlowAreDoneOneAfterTheOther) {
  for (size_t text = 0; text < 4; ++text) {
    for (uint64_t group = 1; group <= 5; ++group) add({.group = group, .tokens = 30});
  }
  std::vector<uint64_t> groups;
  while (scheduler_->waiting() > 0) {
    for (const Sequence& sequence : next(1)) groups.push_back(sequence.options.group);
  }
  ASSERT_EQ(groups.size(), 20u);
  for (size_t i = 0; i < groups.size(); ++i) EXPECT_EQ(groups[i], groups[i / 4 * 4]) << "text " << i;
}

TEST_F(Fair, WhatIsNotTokenizedYetCounts) {
  const RequestId of_long = add({.group = 1, .tokens = 5, .left = 1000});
  const RequestId of_short = add({.group = 2, .tokens = 50});
  EXPECT_EQ(ids(), Ids{of_short});
  EXPECT_EQ(ids(), Ids{of_long});
}

TEST_F(Fair, NewFlowsDoNotStarveOneThatIsAheadOfItsTurn) {
  add(20, {.flow = 1, .tokens = 100});
  EXPECT_EQ(next(1).at(0).options.sharing.flow, 1u) << "108 ms ahead now";
  for (uint64_t i = 0; i < 10; ++i) add({.flow = 10 + i, .group = 10 + i, .tokens = 5});
  size_t batches = 0;
  for (bool found = false; !found && batches < 1'000; ++batches) {
    add({.flow = 100 + batches, .group = 100 + batches, .tokens = 5});
    found = next(1).at(0).options.sharing.flow == 1;
  }
  EXPECT_GT(batches, 10u);
  EXPECT_LT(batches, 350u) << "208 ms, when its next text would be done, are reached by 0.6 a batch at least";
}

TEST_F(Fair, NeighboursInLengthFillTheBatch) {
  const RequestId head = add({.flow = 1, .group = 1, .tokens = 10});
  const RequestId like = add({.flow = 2, .group = 2, .tokens = 11});
  const RequestId longer = add({.flow = 3, .group = 3, .tokens = 18});
  const RequestId shorter = add({.flow = 4, .group = 4, .tokens = 7});
  const RequestId same = add({.flow = 5, .group = 5, .tokens = 10});
  EXPECT_EQ(ids(40), (Ids{shorter, head, same, like}));
  EXPECT_EQ(ids(40), Ids{longer});
}

TEST_F(Fair, MuchLongerTextsOfOthersFillAQuarterAtMost) {
  const RequestId query = add({.flow = 1, .group = 1, .tokens = 2});
  add(20, {.flow = 2, .group = 2, .tokens = 6});
  const auto batch = next(1'000);
  ASSERT_EQ(batch[0].id, query);
  EXPECT_EQ(batch.size(), 3u) << "25 of 100 ms: 8 of the batch, 2 of the query and 12 of two more";
}

TEST_F(Fair, ABatchIsCutOnlyWhileOthersWait) {
  add(100, {.group = 1});
  EXPECT_EQ(next(500).size(), 50u) << "508 ms, though a batch may take 100 where others wait";
  EXPECT_FALSE(scheduler_->contended(now_));
  add({.flow = 2, .group = 2, .tokens = 3});
  EXPECT_TRUE(scheduler_->contended(now_));
  next(500);
  add(100, {.group = 1});
  EXPECT_TRUE(scheduler_->contended(now_)) << "a moment ago";
  EXPECT_EQ(next(500).size(), 9u) << "8 and 90 ms";
  now_ += std::chrono::seconds(2);
  EXPECT_FALSE(scheduler_->contended(now_));
  EXPECT_EQ(next(500).size(), 50u);
}

TEST_F(Fair, ABatchOfSeveralThreadsMayBeAsMuchLonger) {
  add(100, {.flow = 1, .group = 1});
  add(100, {.flow = 2, .group = 2});
  std::vector<Sequence> batch;
  scheduler_->next_batch({.tokens = 1'000, .now = now_, .threads = 4}, batch);
  EXPECT_EQ(batch.size(), 39u) << "400 ms of a thread";
}

TEST_F(Fair, AnEarlierPriorityGoesFirst) {
  add({.group = 1, .priority = 5});
  add({.flow = 2, .group = 2, .priority = 0});
  add({.flow = 3, .group = 3, .priority = -5});
  EXPECT_EQ(ids(100), Ids{3}) << "and nothing later fills its batch";
  EXPECT_EQ(ids(100), Ids{2});
  EXPECT_EQ(ids(100), Ids{1});
}

TEST_F(Fair, LaterPrioritiesSaveUpTheirShare) {
  add(5'000, {.group = 1, .priority = 0});
  add(2'000, {.flow = 2, .group = 2, .priority = 1});
  add(2'000, {.flow = 3, .group = 3, .priority = 9});
  double work[3] = {};
  for (size_t i = 0; i < 500; ++i) {
    for (const Sequence& s : next(1'000)) work[s.options.sharing.flow - 1] += 0.01;
  }
  const double all = work[0] + work[1] + work[2];
  EXPECT_NEAR(work[1] / all, 0.025, 0.004);
  EXPECT_NEAR(work[2] / all, 0.025, 0.004);
}

class FairWithoutShare : public Fair {
 protected:
  FairWithoutShare() : Fair(0) {}
};

TEST_F(FairWithoutShare, LaterPrioritiesWaitForTheRest) {
  add(500, {.group = 1, .priority = 0});
  add(5, {.flow = 2, .group = 2, .priority = 1});
  while (scheduler_->waiting() > 5) {
    for (const Sequence& s : next(1'000)) ASSERT_EQ(s.options.sharing.priority, 0);
  }
  EXPECT_EQ(next(1'000).size(), 5u);
}

// Random additions, cancellations and batches: sums are right, and in the end there is nothing.
TEST_F(Fair, CancellingLeavesNothingBehind) {
  Random random(5);
  std::vector<std::pair<RequestId, size_t>> waiting;
  for (size_t round = 0; round < 20'000; ++round) {
    const size_t what = random.between(0, 9);
    if (what < 5) {
      const size_t tokens = random.between_in_scale(1, 400);
      const uint64_t group = random.between(1, 50);
      waiting.emplace_back(add({.flow = group % 7,
                                .group = group,
                                .tokens = tokens,
                                .weight = static_cast<double>(1 + group % 3),
                                .priority = static_cast<int>(group % 3)}),
                           tokens);
    } else if (what < 9 && !waiting.empty()) {
      const size_t at = random.between(0, waiting.size() - 1);
      EXPECT_TRUE(scheduler_->cancel(waiting[at].first));
      EXPECT_FALSE(scheduler_->cancel(waiting[at].first));
      waiting.erase(waiting.begin() + static_cast<ptrdiff_t>(at));
    } else {
      for (const Sequence& s : next(300)) {
        EXPECT_EQ(std::erase_if(waiting, [&](const auto& one) { return one.first == s.id; }), 1u);
      }
    }
    size_t tokens = 0;
    if (round % 100 == 0) {
      for (const auto& one : waiting) tokens += one.second;
      ASSERT_EQ(scheduler_->waiting_tokens(), tokens);
    }
    ASSERT_EQ(scheduler_->waiting(), waiting.size());
  }
  for (const auto& one : waiting) EXPECT_TRUE(scheduler_->cancel(one.first));
  EXPECT_EQ(scheduler_->waiting(), 0u);
  EXPECT_EQ(scheduler_->waiting_tokens(), 0u);
  EXPECT_TRUE(next(100).empty());
  EXPECT_FALSE(scheduler_->contended(now_ + std::chrono::seconds(2)));
}

TEST(FairQueue, CancelledFlowsAndRequestsAreForgotten) {
  FairQueue queue(cost());
  for (uint64_t i = 0; i < 100; ++i) {
    queue.add(sequence(i, {.flow = i, .group = i}), i);
    EXPECT_EQ(queue.flows(), 1u) << i;
    EXPECT_EQ(queue.requests(), 1u);
    EXPECT_EQ(queue.cancel(i, i, i).id, i);
    EXPECT_TRUE(queue.empty());
    EXPECT_EQ(queue.flows(), 0u) << "one that had nothing is owed nothing";
  }
}

// Of flows that come once there are no more than were served within the last turns, however many come.
TEST(FairQueue, FlowsThatLeftAreForgottenOnceTheirTurnIsOver) {
  FairQueue queue(cost());
  uint64_t arrival = 0;
  queue.add(sequence(0, {.flow = 0, .group = 0}), arrival++);
  for (uint64_t i = 1; i < 10'000; ++i) {
    queue.add(sequence(i, {.flow = i, .group = i}), arrival++);
    queue.take_next();
    ASSERT_LE(queue.flows(), 20u) << i;
  }
}

}  // namespace
}  // namespace wde
