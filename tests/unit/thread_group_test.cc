#include "base/thread_group.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <set>
#include <string>

#include "execute/crew.h"
#include "wde/result.h"

namespace wde {
namespace {

// While it lives no thread can be made: its stack would be larger than any memory.
class NoThreads {
 public:
  NoThreads() {
    pthread_getattr_default_np(&before_);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, size_t{1} << 46);
    pthread_setattr_default_np(&attributes);
    pthread_attr_destroy(&attributes);
  }
  ~NoThreads() {
    pthread_setattr_default_np(&before_);
    pthread_attr_destroy(&before_);
  }
  NoThreads(const NoThreads&) = delete;
  NoThreads& operator=(const NoThreads&) = delete;

 private:
  pthread_attr_t before_;
};

TEST(ThreadGroup, EveryThreadRunsOnceWithItsNumberAndName) {
  ThreadGroup group;
  for (int round = 0; round < 2; ++round) {  // again after a join
    std::atomic<uint32_t> seen{0};
    std::atomic<int> misnamed{0};
    group.start({"wde-test"}, 5, [&](size_t i) {
      seen.fetch_or(1U << i);
      char name[16] = {};
      // Named by whoever starts it, before it runs.
      if (pthread_getname_np(pthread_self(), name, sizeof name) != 0 || std::string(name) != "wde-test") ++misnamed;
    });
    group.join();
    EXPECT_EQ(seen, 31U);
    EXPECT_EQ(misnamed, 0);
  }
  group.join();  // nothing runs
}

TEST(ThreadGroup, SaysWhichThreadsCannotBeStarted) {
  std::atomic<int> ran{0};
  ThreadGroup group;
  const NoThreads none;
  try {
    group.start({"wde-test", "--workers"}, 16, [&](size_t) { ++ran; });
    FAIL();
  } catch (const LoadError& error) {
    EXPECT_EQ(std::string(error.what()),
              "cannot start 16 threads (wde-test): Resource temporarily unavailable; the limit is that of processes "
              "(ulimit -u, a cgroup's pids.max) or of memory; --workers lowers their number");
  }
  EXPECT_EQ(ran, 0);
  try {
    group.start("wde-test", [&] { ++ran; });
    FAIL();
  } catch (const LoadError& error) {
    EXPECT_EQ(std::string(error.what()).find("cannot start a thread (wde-test): Resource temporarily"), 0U);
  }
}

TEST(ThreadGroup, ACrewWithoutThreadsLeavesNothingBehind) {
  const NoThreads none;
  EXPECT_THROW(StandingCrew(4), LoadError);
  StandingCrew alone(1);
  EXPECT_EQ(alone.crew().size(), 1U);
}

}  // namespace
}  // namespace wde
