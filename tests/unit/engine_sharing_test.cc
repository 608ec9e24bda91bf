// Who is answered first, who is too late and who is cancelled, while the only worker is held by a callback.
#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "test_paths.h"
#include "wde/engine.h"

namespace wde {
namespace {

using std::chrono::steady_clock;

std::unique_ptr<Engine> make_engine(const std::string& scheduler) {
  EngineArgs args;
  args.set("model", std::string(test::kData) + "/bert-mean").set("workers", "1").set("scheduler", scheduler);
  return Engine::create(args);
}

// Holds the worker from its construction on, until release().
class Held {
 public:
  explicit Held(Engine& engine) : engine_(engine) {
    engine_.submit({"first", {}}, [this](const Result<Response>&) {
      std::unique_lock lock(mutex_);
      reached_ = true;
      changed_.notify_all();
      changed_.wait(lock, [this] { return released_; });
    });
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return reached_; });
  }

  // `count` texts of one request; their answers are noted under `name`.
  std::vector<RequestId> submit(size_t count, const std::string& name, const Request& like) {
    std::vector<RequestId> ids;
    expected_ += count;
    for (size_t i = 0; i < count; ++i) {
      Request request = like;
      request.input = name + " " + std::to_string(i % 97) + std::string(i % 5, '!');
      ids.push_back(engine_.submit(std::move(request), [this, name](const Result<Response>& result) {
        const std::scoped_lock lock(mutex_);
        answers_.push_back({name, result.ok() ? "" : result.error().message});
        changed_.notify_all();
      }));
    }
    return ids;
  }

  // The answers in their order: whose, and the error's message.
  std::vector<std::pair<std::string, std::string>> release() {
    std::unique_lock lock(mutex_);
    released_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return answers_.size() == expected_; });
    return answers_;
  }

 private:
  Engine& engine_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool reached_ = false, released_ = false;
  size_t expected_ = 0;
  std::vector<std::pair<std::string, std::string>> answers_;
};

Request of_group(uint64_t group, uint64_t flow, int priority = 0) {
  Request request;
  request.group = group;
  request.sharing = {flow, 1.0, priority};
  return request;
}

size_t place_of(const std::vector<std::pair<std::string, std::string>>& answers, const std::string& name) {
  const auto at = std::find_if(answers.begin(), answers.end(), [&](const auto& one) { return one.first == name; });
  return static_cast<size_t>(at - answers.begin());
}

constexpr size_t kBulk = 3000;

TEST(Sharing, AQueryIsNotKeptByAnothersThousands) {
  for (const uint64_t flow : {uint64_t{2}, uint64_t{1}}) {  // of another client, and of the same one
    const auto engine = make_engine("fair");
    Held held(*engine);
    held.submit(kBulk, "bulk", of_group(1, 1));
    held.submit(1, "query", of_group(2, flow));
    EXPECT_LT(place_of(held.release(), "query"), kBulk / 5) << "flow " << flow;
  }
}

TEST(Sharing, FifoKeepsTheOrderOfArrival) {
  const auto engine = make_engine("fifo");
  Held held(*engine);
  held.submit(kBulk, "bulk", of_group(1, 1));
  held.submit(1, "query", of_group(2, 2));
  EXPECT_EQ(place_of(held.release(), "query"), kBulk);
}

TEST(Sharing, AnEarlierPriorityGoesFirst) {
  const auto engine = make_engine("fair");
  Held held(*engine);
  held.submit(500, "late", of_group(1, 1, 5));
  held.submit(500, "early", of_group(2, 2, 0));
  const auto answers = held.release();
  size_t early = 0;
  for (size_t i = 0; i < 600; ++i) early += answers[i].first == "early" ? 1 : 0;
  // What was in the worker's hands, and the share that the later ones always have.
  EXPECT_GT(early, 380u);
}

TEST(Sharing, WhatHasBegunIsFinished) {
  for (const char* const scheduler : {"fair", "fifo", "length_aware"}) {
    const auto engine = make_engine(scheduler);
    Held held(*engine);
    const auto deadline = steady_clock::now() + std::chrono::milliseconds(300);
    Request begun = of_group(1, 1, 0), waiting = of_group(2, 2, 1);
    begun.deadline = waiting.deadline = deadline;
    held.submit(kBulk, "begun", begun);
    held.submit(20, "waiting", waiting);
    std::this_thread::sleep_until(deadline + std::chrono::milliseconds(50));
    size_t late = 0;
    for (const auto& [name, message] : held.release()) {
      if (name == "begun") {
        EXPECT_EQ(message, "") << scheduler;
      }
      if (name == "waiting") late += message.find("deadline") != std::string::npos ? 1 : 0;
    }
    EXPECT_EQ(late, 20u) << scheduler;
  }
}

TEST(Sharing, CancelledOnesAreAnsweredAndForgotten) {
  for (const char* const scheduler : {"fair", "fifo", "length_aware"}) {
    const auto engine = make_engine(scheduler);
    Held held(*engine);
    const std::vector<RequestId> ids = held.submit(20'000, "gone", of_group(1, 1));
    held.submit(1, "kept", of_group(2, 2));
    size_t cancelled = 0;
    for (const RequestId id : ids) cancelled += engine->cancel(id) ? 1 : 0;
    for (const RequestId id : ids) EXPECT_FALSE(engine->cancel(id));
    const auto answers = held.release();
    size_t told = 0;
    for (const auto& [name, message] : answers) {
      if (name == "kept") {
        EXPECT_EQ(message, "");
      }
      told += message.find("cancelled") != std::string::npos ? 1 : 0;
    }
    EXPECT_EQ(told, cancelled) << scheduler;
    EXPECT_GT(cancelled, 18'000u) << scheduler;
    EXPECT_EQ(engine->statistics().waiting, 0u);
    engine->shutdown();
  }
}

TEST(Sharing, SettingsOfFairAreRefusedElsewhere) {
  EngineArgs args;
  args.set("model", std::string(test::kData) + "/bert-mean").set("scheduler", "fifo").set("batch-time", "5");
  try {
    (void)Engine::create(args);
    ADD_FAILURE() << "it was accepted";
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("--batch-time"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("fifo"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace wde
