// Which workers the executor data_parallel puts on which batch.
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "execute/executor.h"

namespace wde {
namespace {

struct Seen {
  size_t tokens, team;
};

// Notes the size of each batch's team, and takes a moment, so that others come meanwhile.
class Note final : public Worker {
 public:
  Note(std::mutex& mutex, std::vector<Seen>& seen) : mutex_(mutex), seen_(seen) {}

  void execute(Job& job, Team& team, LayerRange) noexcept override {
    team.run([](const Part& part) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      part.sync();
    });
    std::scoped_lock lock(mutex_);
    seen_.push_back({job.input.tokens(), team.size()});
  }

 private:
  std::mutex& mutex_;
  std::vector<Seen>& seen_;
};

// Runs batches of so many tokens, submitted at once, on `workers`.
std::vector<Seen> run(size_t workers, const std::vector<size_t>& batches) {
  std::mutex mutex;
  std::condition_variable done;
  std::vector<Seen> seen;
  size_t left = batches.size();
  ExecutorConfig config;
  config.workers = workers;
  config.make_worker = [&] { return std::make_unique<Note>(mutex, seen); };
  config.done = [&](std::unique_ptr<Job>) {
    std::scoped_lock lock(mutex);
    if (--left == 0) done.notify_one();
  };
  const auto executor = executors().get("data_parallel").create(config);
  for (const size_t tokens : batches) {
    auto job = std::make_unique<Job>();
    job->input.ids.resize(tokens);
    executor->submit(std::move(job));
  }
  std::unique_lock lock(mutex);
  EXPECT_TRUE(done.wait_for(lock, std::chrono::seconds(60), [&] { return left == 0; }));
  return seen;
}

TEST(DataParallel, LongBatchesHaveAllWorkers) {
  for (const size_t workers : {1, 2, 3}) {
    for (const Seen& seen : run(workers, {8192, 8192, 4096, 8192, 3072})) EXPECT_EQ(seen.team, workers);
  }
}

TEST(DataParallel, ShortBatchesGoSideBySide) {
  size_t alone = 0;
  const auto seen = run(2, std::vector<size_t>(20, 500));
  for (const Seen& one : seen) alone += one.team == 1 ? 1 : 0;
  EXPECT_EQ(seen.size(), 20U);
  EXPECT_GE(alone, 15U);  // the first and the last ones may have had both
}

TEST(DataParallel, LongAndShortBatchesAreAllDone) {
  for (int repeat = 0; repeat < 20; ++repeat) {
    std::vector<size_t> batches;
    for (int i = 0; i < 12; ++i) batches.push_back((i * 7 + repeat) % 3 == 0 ? 9000 : 10);
    EXPECT_EQ(run(3, batches).size(), batches.size());
  }
}

}  // namespace
}  // namespace wde
