// Team: shares that cover everything once, and crews that come and go.
#include "base/team.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "execute/crew.h"

namespace wde {
namespace {

TEST(PartShare, CoversEverythingOnceInWholeUnits) {
  for (size_t n : {0, 1, 15, 16, 17, 100, 384, 1000}) {
    for (size_t unit : {1, 16, 32}) {
      for (size_t size : {1, 2, 3, 7, 64}) {
        size_t next = 0;
        for (size_t rank = 0; rank < size; ++rank) {
          const Range range = Part{rank, size, nullptr}.share(n, unit);
          ASSERT_EQ(range.begin, next) << n << " in " << size << " shares of units of " << unit;
          ASSERT_LE(range.begin, range.end);
          if (range.end != n) {
            ASSERT_EQ(range.end % unit, 0u);
          }
          next = range.end;
        }
        ASSERT_EQ(next, n);
      }
    }
  }
}

TEST(Team, OfOneIsTheCallingThread) {
  Team team;
  EXPECT_EQ(team.size(), 1u);
  int calls = 0;
  const auto caller = std::this_thread::get_id();
  team.run([&](Part part) {
    ++calls;
    EXPECT_EQ(part.rank, 0u);
    EXPECT_EQ(part.size, 1u);
    EXPECT_EQ(std::this_thread::get_id(), caller);
    part.sync();
  });
  EXPECT_EQ(calls, 1);
}

// Crews of every size, one after the other, on the same object: every member runs every step, and a barrier holds them
// together.
TEST(Crew, ComesAndGoes) {
  Crew crew;
  for (size_t round = 0; round < 60; ++round) {
    const size_t helpers = round % 4;
    std::vector<std::thread> threads;
    const uint32_t ticket = crew.gather(helpers);
    for (size_t rank = 1; rank <= helpers; ++rank) threads.emplace_back([&, rank] { crew.help(rank, ticket); });
    EXPECT_EQ(crew.size(), helpers + 1);
    for (size_t step = 0; step < 1 + round % 3; ++step) {
      std::vector<size_t> seen(helpers + 1), sums(helpers + 1);
      crew.run([&](Part part) {
        seen[part.rank] = part.size;
        part.sync();  // what the others wrote is visible behind it
        for (size_t size : seen) sums[part.rank] += size;
        part.sync();
        seen[part.rank] = 0;
      });
      EXPECT_EQ(seen, std::vector<size_t>(helpers + 1, 0));
      EXPECT_EQ(sums, std::vector<size_t>(helpers + 1, (helpers + 1) * (helpers + 1)));
    }
    crew.dismiss();
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(crew.size(), 1u);
  }
}

}  // namespace
}  // namespace wde
