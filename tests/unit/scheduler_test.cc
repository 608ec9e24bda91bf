// What every scheduler promises: the budget, progress of the oldest, and that nothing is lost or doubled.
#include "schedule/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <random>
#include <set>

namespace wde {
namespace {

Sequence sequence(RequestId id, size_t length) {
  Sequence s;
  s.id = id;
  s.ids.assign(length, static_cast<int32_t>(id));
  return s;
}

// Linear in the tokens, of a model that does not matter here.
const CostModel& cost() {
  static const CostModel model({.token_operations = 1e6, .layers = {}}, 1e9);
  return model;
}

std::unique_ptr<Scheduler> make(const std::string& name) {
  SchedulerConfig config;
  config.cost = &cost();
  return schedulers().get(name)(config);
}

class Schedulers : public ::testing::TestWithParam<std::string> {
 protected:
  void add(RequestId id, size_t length) { scheduler_->add(sequence(id, length)); }

  // The ids of the next batch; checks the budget.
  std::vector<RequestId> next(size_t budget) {
    std::vector<Sequence> batch;
    scheduler_->next_batch({.tokens = budget}, batch);
    std::vector<RequestId> ids;
    size_t tokens = 0;
    for (const Sequence& s : batch) {
      ids.push_back(s.id);
      tokens += s.size();
      EXPECT_TRUE(s.ids.empty() || s.ids[0] == static_cast<int32_t>(s.id))
          << "the sequence is not the one that was added";
    }
    EXPECT_TRUE(tokens <= budget || ids.size() == 1)
        << tokens << " tokens in " << ids.size() << " sequences, budget " << budget;
    return ids;
  }

  std::unique_ptr<Scheduler> scheduler_ = make(GetParam());
};
INSTANTIATE_TEST_SUITE_P(All, Schedulers, ::testing::ValuesIn(schedulers().names()),
                         [](const auto& test_info) { return test_info.param; });

TEST(SchedulerNames, AreKnown) {
  const auto names = schedulers().names();
  for (const char* name : {"fifo", "length_aware", "fair"})
    EXPECT_NE(std::find(names.begin(), names.end(), name), names.end());
}

TEST_P(Schedulers, EmptyGivesAnEmptyBatch) {
  EXPECT_TRUE(next(100).empty());
  EXPECT_EQ(scheduler_->waiting(), 0u);
  EXPECT_EQ(scheduler_->waiting_tokens(), 0u);
}

TEST_P(Schedulers, LongerThanTheBudgetGoesAlone) {
  add(1, 500);
  add(2, 3);
  EXPECT_EQ(next(100), std::vector<RequestId>{1});
  EXPECT_EQ(next(100), std::vector<RequestId>{2});
  add(3, 7);
  EXPECT_EQ(next(0), std::vector<RequestId>{3}) << "even without a budget there is progress";
}

TEST_P(Schedulers, BudgetIsUsedToTheLastToken) {
  for (RequestId id = 1; id <= 10; ++id) add(id, 10);
  EXPECT_EQ(next(50).size(), 5u);
  EXPECT_EQ(next(49).size(), 4u);
  EXPECT_EQ(scheduler_->waiting(), 1u);
  EXPECT_EQ(scheduler_->waiting_tokens(), 10u);
}

TEST_P(Schedulers, ABatchGrowsUpToALargerBudget) {
  for (RequestId id = 1; id <= 10; ++id) add(id, 10);
  std::vector<Sequence> batch;
  scheduler_->next_batch({.tokens = 30}, batch);
  scheduler_->next_batch({.tokens = 69}, batch);
  EXPECT_EQ(tokens_of(batch), 60u);
  scheduler_->next_batch({.tokens = 65}, batch);
  EXPECT_EQ(batch.size(), 6u) << "what does not fit waits";
  EXPECT_EQ(scheduler_->waiting_tokens(), 40u);
  std::set<RequestId> ids;
  for (const Sequence& s : batch) ids.insert(s.id);
  EXPECT_EQ(ids, (std::set<RequestId>{1, 2, 3, 4, 5, 6}));
}

TEST_P(Schedulers, CancelledIsGone) {
  for (RequestId id = 1; id <= 5; ++id) add(id, 10 * id);
  EXPECT_TRUE(scheduler_->cancel(1));
  EXPECT_TRUE(scheduler_->cancel(4));
  EXPECT_FALSE(scheduler_->cancel(4));
  EXPECT_FALSE(scheduler_->cancel(77));
  EXPECT_EQ(scheduler_->waiting(), 3u);
  EXPECT_EQ(scheduler_->waiting_tokens(), 100u);
  auto ids = next(1000);
  std::sort(ids.begin(), ids.end());
  EXPECT_EQ(ids, (std::vector<RequestId>{2, 3, 5}));
  EXPECT_FALSE(scheduler_->cancel(2)) << "in a batch";
}

TEST_P(Schedulers, FeedsTheExecutorsThatThereAre) {
  const auto feeds = scheduler_->feeds();
  for (const char* kind : {"sync", "async"})
    EXPECT_NE(std::find(feeds.begin(), feeds.end(), kind), feeds.end()) << kind;
}

// 10,000 sequences that come, are cancelled and go in a random order: each leaves exactly once, the oldest always
// first.
TEST_P(Schedulers, NothingIsLostInARandomRun) {
  std::mt19937 random(7);
  std::deque<RequestId> waiting;  // in the order of arrival
  std::set<RequestId> gone;
  size_t waiting_tokens = 0;
  std::vector<size_t> lengths(1);
  RequestId next_id = 1;
  while (next_id <= 10'000 || !waiting.empty()) {
    const auto what = random() % 10;
    if (what < 6 && next_id <= 10'000) {
      for (size_t burst = 1 + random() % 20; burst > 0 && next_id <= 10'000; --burst, ++next_id) {
        lengths.push_back(random() % 7 == 0 ? 1 + random() % 3000 : 1 + random() % 60);
        add(next_id, lengths.back());
        waiting.push_back(next_id);
        waiting_tokens += lengths.back();
      }
    } else if (what < 7) {
      const RequestId id = 1 + random() % next_id;
      const auto it = std::find(waiting.begin(), waiting.end(), id);
      ASSERT_EQ(scheduler_->cancel(id), it != waiting.end()) << id;
      if (it == waiting.end()) continue;
      waiting.erase(it);
      waiting_tokens -= lengths[id];
      gone.insert(id);
    } else {
      const auto ids = next(1 + random() % 1500);
      ASSERT_EQ(ids.empty(), waiting.empty());
      if (ids.empty()) continue;
      ASSERT_NE(std::find(ids.begin(), ids.end(), waiting.front()), ids.end())
          << "the oldest, " << waiting.front() << ", stays behind";
      for (RequestId id : ids) {
        const auto it = std::find(waiting.begin(), waiting.end(), id);
        ASSERT_NE(it, waiting.end()) << id << " was not waiting";
        waiting.erase(it);
        waiting_tokens -= lengths[id];
        ASSERT_TRUE(gone.insert(id).second);
      }
    }
    ASSERT_EQ(scheduler_->waiting(), waiting.size());
    ASSERT_EQ(scheduler_->waiting_tokens(), waiting_tokens);
  }
  EXPECT_EQ(gone.size(), 10'000u);
}

std::vector<RequestId> batch_of(Scheduler& scheduler, size_t budget) {
  std::vector<Sequence> batch;
  scheduler.next_batch({.tokens = budget}, batch);
  std::vector<RequestId> ids;
  for (const Sequence& s : batch) ids.push_back(s.id);
  return ids;
}

TEST(Fifo, KeepsTheOrder) {
  const auto fifo = make("fifo");
  for (RequestId id = 1; id <= 6; ++id) fifo->add(sequence(id, id == 3 ? 90 : 20));
  EXPECT_EQ(batch_of(*fifo, 100), (std::vector<RequestId>{1, 2}));
  EXPECT_EQ(batch_of(*fifo, 110), (std::vector<RequestId>{3, 4}));
  EXPECT_EQ(batch_of(*fifo, 1000), (std::vector<RequestId>{5, 6}));
}

TEST(LengthAware, PutsLikeLengthsTogether) {
  const auto scheduler = make("length_aware");
  const std::vector<size_t> lengths = {100, 5, 98, 7, 300, 101, 6};  // ids 1, 2, …
  for (size_t i = 0; i < lengths.size(); ++i) scheduler->add(sequence(i + 1, lengths[i]));
  auto first = batch_of(*scheduler, 300);
  EXPECT_EQ(first[0], 1u);
  std::sort(first.begin(), first.end());
  EXPECT_EQ(first, (std::vector<RequestId>{1, 3, 6})) << "100, 98 and 101";
  auto second = batch_of(*scheduler, 100);
  EXPECT_EQ(second[0], 2u);
  std::sort(second.begin(), second.end());
  EXPECT_EQ(second, (std::vector<RequestId>{2, 4, 7})) << "5, 7 and 6";
  EXPECT_EQ(batch_of(*scheduler, 100), std::vector<RequestId>{5});
}

TEST(LengthAware, FillsUpWithShorterOnes) {
  const auto scheduler = make("length_aware");
  scheduler->add(sequence(1, 80));
  scheduler->add(sequence(2, 80));
  scheduler->add(sequence(3, 20));
  scheduler->add(sequence(4, 15));
  EXPECT_EQ(batch_of(*scheduler, 100), (std::vector<RequestId>{1, 3}));
  EXPECT_EQ(batch_of(*scheduler, 100), (std::vector<RequestId>{2, 4}));
}

}  // namespace
}  // namespace wde
