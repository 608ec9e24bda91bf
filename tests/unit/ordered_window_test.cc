#include "cli/ordered_window.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace wde::cli {
namespace {

using std::chrono::milliseconds;
using Window = OrderedWindow<std::string>;
using Next = Window::Next;

constexpr milliseconds kNow{0};
constexpr milliseconds kLong{60'000};

// Whether `what` becomes true soon.
template <class What>
bool eventually(What what) {
  for (int i = 0; i < 5000 && !what(); ++i) std::this_thread::sleep_for(milliseconds(1));
  return what();
}

TEST(OrderedWindow, GivesValuesInTheOrderOfTheirSlots) {
  Window window(8, 100);
  const uint64_t a = window.reserve(1), b = window.reserve(1), c = window.reserve(1);
  std::string value;
  window.complete(c, "c");
  EXPECT_EQ(window.next(value, kNow), Next::kNotReady);
  window.complete(a, "a");
  EXPECT_EQ(window.next(value, kNow), Next::kValue);
  EXPECT_EQ(value, "a");
  EXPECT_EQ(window.next(value, kNow), Next::kNotReady);
  window.complete(b, "b");
  window.close();
  EXPECT_EQ(window.next(value, kNow), Next::kValue);
  EXPECT_EQ(value, "b");
  EXPECT_EQ(window.next(value, kNow), Next::kValue);
  EXPECT_EQ(value, "c");
  EXPECT_EQ(window.next(value, kNow), Next::kEnd);
}

TEST(OrderedWindow, EndsAtOnceWithoutItems) {
  Window window(8, 100);
  std::string value;
  EXPECT_EQ(window.next(value, kNow), Next::kNotReady);
  window.close();
  EXPECT_EQ(window.next(value, kLong), Next::kEnd);
}

TEST(OrderedWindow, BlocksTheReaderAtTheNumberOfItems) {
  Window window(2, 1000);
  const uint64_t a = window.reserve(1);
  window.reserve(1);
  std::atomic<bool> reserved = false;
  std::thread reader([&] {
    window.reserve(1);
    reserved = true;
  });
  window.complete(a, "a");
  std::string value;
  EXPECT_EQ(window.next(value, kNow), Next::kValue);
  std::this_thread::sleep_for(milliseconds(20));
  EXPECT_FALSE(reserved) << "a value that is being written still counts";
  EXPECT_EQ(window.next(value, kNow), Next::kNotReady);
  EXPECT_TRUE(eventually([&] { return reserved.load(); }));
  reader.join();
  EXPECT_EQ(window.items(), 2U);
}

TEST(OrderedWindow, BlocksTheReaderAtTheBytes) {
  Window window(100, 10);
  const uint64_t a = window.reserve(6);
  std::atomic<bool> reserved = false;
  std::thread reader([&] {
    window.reserve(5);
    reserved = true;
  });
  std::this_thread::sleep_for(milliseconds(20));
  EXPECT_FALSE(reserved);
  window.complete(a, "a");
  std::string value;
  EXPECT_EQ(window.next(value, kLong), Next::kValue);
  EXPECT_EQ(window.next(value, kNow), Next::kNotReady);
  EXPECT_TRUE(eventually([&] { return reserved.load(); }));
  reader.join();
}

TEST(OrderedWindow, LetsAnOversizedItemInAlone) {
  Window window(100, 10);
  const uint64_t a = window.reserve(1'000'000);
  std::atomic<bool> reserved = false;
  std::thread reader([&] {
    window.reserve(1);
    reserved = true;
  });
  std::this_thread::sleep_for(milliseconds(20));
  EXPECT_FALSE(reserved);
  window.complete(a, "a");
  std::string value;
  EXPECT_EQ(window.next(value, kLong), Next::kValue);
  EXPECT_EQ(window.next(value, kNow), Next::kNotReady);
  EXPECT_TRUE(eventually([&] { return reserved.load(); }));
  reader.join();
}

TEST(OrderedWindow, KeepsOrderAndLimitUnderThreads) {
  constexpr size_t kItems = 20'000, kLimit = 64;
  OrderedWindow<uint64_t> window(kLimit, 1 << 20);
  std::thread reader([&] {
    std::mt19937 random(1);
    std::vector<std::thread> engines;
    for (size_t done = 0; done < kItems;) {
      const size_t count = std::min<size_t>(kLimit / 4, kItems - done);
      std::vector<uint64_t> slots;
      for (size_t i = 0; i < count; ++i) slots.push_back(window.reserve(random() % 100));
      EXPECT_LE(window.items(), kLimit);
      std::shuffle(slots.begin(), slots.end(), random);
      if (engines.size() == 3) {
        for (std::thread& engine : engines) engine.join();
        engines.clear();
      }
      engines.emplace_back([&window, slots] {
        for (uint64_t slot : slots) window.complete(slot, slot * 3);
      });
      done += count;
    }
    for (std::thread& engine : engines) engine.join();
    window.close();
  });
  uint64_t value = 0, expected = 0;
  OrderedWindow<uint64_t>::Next state;
  while ((state = window.next(value, kLong)) == OrderedWindow<uint64_t>::Next::kValue) {
    ASSERT_EQ(value, 3 * expected++);
  }
  EXPECT_EQ(state, OrderedWindow<uint64_t>::Next::kEnd);
  EXPECT_EQ(expected, kItems);
  reader.join();
}

}  // namespace
}  // namespace wde::cli
