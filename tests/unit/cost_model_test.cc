// CostModel: that it finds what batches cost from noisy measurements, follows a machine that changes, and counts the
// pairs of attention as plain loops do.
#include "schedule/cost_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "bench/schedule/random.h"

namespace wde {
namespace {

using simulation::Random;

constexpr size_t kAll = SIZE_MAX;

const ModelWork kWork{.token_operations = 20e6, .pair_operations = 1500, .layers = {{6, kAll, kAll}}};

// A machine whose batches take what these say, within `noise` of it.
struct Machine {
  double fixed = 0, token = 0, pair = 0;
  double noise = 0;

  double seconds(const std::vector<size_t>& lengths) const {
    double sum = fixed;
    for (const size_t n : lengths) {
      const auto tokens = static_cast<double>(n);
      sum += token * tokens + pair * 6 * tokens * tokens;
    }
    return sum;
  }
};

std::vector<size_t> lengths(Random& random) {
  std::vector<size_t> out;
  const size_t texts = random.between_in_scale(1, 16);
  const size_t longest = random.between_in_scale(8, 512);
  for (size_t i = 0; i < texts; ++i) out.push_back(random.between(1, longest));
  return out;
}

void show(CostModel& model, const Machine& machine, size_t batches, Random& random) {
  for (size_t i = 0; i < batches; ++i) {
    const auto batch = lengths(random);
    model.observe(batch, machine.seconds(batch) * (1 + machine.noise * (2 * random.uniform() - 1)));
  }
}

// The largest part by which it is off, of batches that it has not seen.
double farthest(const CostModel& model, const Machine& machine) {
  Random random(99);
  double most = 0;
  for (size_t i = 0; i < 200; ++i) {
    const auto batch = lengths(random);
    most = std::max(most, std::abs(model.batch_seconds(batch) / machine.seconds(batch) - 1));
  }
  return most;
}

TEST(CostModel, FindsWhatBatchesCost) {
  // Twice, four times and thirty times what it guesses of 40e9 operations a second.
  const Machine machine{.fixed = 8e-3, .token = 2e-3, .pair = 1e-6, .noise = 0};
  CostModel model(kWork);
  EXPECT_GT(farthest(model, machine), 0.5) << "it guesses right: the test says nothing";
  Random random(1);
  show(model, machine, 200, random);
  EXPECT_LE(farthest(model, machine), 0.03);
  EXPECT_LE(model.error(), 0.02);
  EXPECT_EQ(model.observed(), 200u);
  EXPECT_NEAR(model.fixed_seconds(), machine.fixed, 0.1 * machine.fixed);
  EXPECT_NEAR(model.seconds(100), 100 * machine.token + 60'000 * machine.pair, 0.01 * 0.26);
}

TEST(CostModel, NoiseIsLeveledOut) {
  const Machine machine{.fixed = 1e-3, .token = 5e-5, .pair = 2e-8, .noise = 0.2};
  CostModel model(kWork);
  Random random(2);
  show(model, machine, 500, random);
  EXPECT_LE(farthest(model, machine), 0.10);
  EXPECT_NEAR(model.error(), 0.1, 0.03) << "the mean of what is uniform within 20 %";
}

TEST(CostModel, TheFirstBatchSetsTheScale) {
  const Machine machine{.fixed = 4e-3, .token = 5e-3, .pair = 4e-7, .noise = 0};
  CostModel model(kWork);
  model.observe(std::vector<size_t>{64}, machine.seconds({64}));
  EXPECT_NEAR(model.batch_seconds(std::vector<size_t>{64}), machine.seconds({64}), 0.01 * machine.seconds({64}));
  EXPECT_NEAR(model.seconds(128) / machine.seconds({128}), 1, 0.3) << "from a single length";
}

TEST(CostModel, FollowsAMachineThatBecomesSlower) {
  const Machine fast{.fixed = 1e-3, .token = 1e-4, .pair = 1e-7, .noise = 0.05};
  const Machine slow{.fixed = 2e-3, .token = 2e-4, .pair = 2e-7, .noise = 0.05};
  CostModel model(kWork);
  Random random(3);
  show(model, fast, 1'000, random);
  EXPECT_LE(farthest(model, fast), 0.05);
  show(model, slow, 128, random);
  EXPECT_LE(farthest(model, slow), 0.35);
  EXPECT_GT(model.error(), 0.05) << "it says that it was wrong";
  show(model, slow, 256, random);
  EXPECT_LE(farthest(model, slow), 0.06);
  EXPECT_LE(model.error(), 0.06);
}

TEST(CostModel, IsNeverNegativeAndGrowsWithTheText) {
  CostModel model(kWork);
  const auto check = [&](const char* what) {
    EXPECT_GT(model.fixed_seconds(), 0) << what;
    double before = 0;
    for (const size_t n : {size_t{1}, size_t{2}, size_t{30}, size_t{512}, size_t{8192}}) {
      EXPECT_TRUE(std::isfinite(model.seconds(n))) << what;
      EXPECT_GT(model.seconds(n), before) << what << ", " << n << " tokens";
      before = model.seconds(n);
    }
    EXPECT_EQ(model.seconds(0), 0);
  };
  check("at first");
  // The longer the text, the shorter the time.
  for (size_t i = 0; i < 300; ++i) {
    const size_t n = 1 + i % 512;
    model.observe(std::vector<size_t>{n}, 1.0 / static_cast<double>(n));
  }
  check("after times that fall");
  for (size_t i = 0; i < 300; ++i) model.observe(std::vector<size_t>{1 + i % 7}, 5.0);
  check("after times that do not change");
  const size_t seen = model.observed();
  for (const double nothing : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN()}) {
    model.observe(std::vector<size_t>{10}, nothing);
  }
  model.observe({}, 1.0);
  EXPECT_EQ(model.observed(), seen) << "none of these is a measurement";
  for (const double odd : {1e-300, 1e300, std::numeric_limits<double>::infinity()}) {
    for (size_t i = 0; i < 200; ++i) model.observe(std::vector<size_t>{10, 300}, odd);
    check("after times that cannot be");
  }
}

// Queries that see so many keys before them and after them.
double loops(size_t n, size_t left, size_t right) {
  double pairs = 0;
  for (size_t q = 0; q < n; ++q) {
    for (size_t k = 0; k < n; ++k) pairs += (k <= q && q - k <= left) || (k > q && k - q <= right) ? 1 : 0;
  }
  return pairs;
}

TEST(CostModel, CountsThePairsOfMasks) {
  for (const size_t left : {size_t{0}, size_t{1}, size_t{7}, size_t{64}, kAll}) {
    for (const size_t right : {size_t{0}, size_t{3}, size_t{64}, kAll}) {
      // A second a token and a pair.
      const CostModel model({.token_operations = 1, .pair_operations = 1, .layers = {{1, left, right}}}, 1);
      for (const size_t n : {size_t{1}, size_t{2}, size_t{8}, size_t{63}, size_t{64}, size_t{65}, size_t{130}}) {
        EXPECT_DOUBLE_EQ(model.seconds(n), static_cast<double>(n) + loops(n, left, right))
            << n << " tokens, windows of " << left << " and " << right;
      }
    }
  }
  const CostModel mixed({.token_operations = 1, .pair_operations = 1, .layers = {{2, kAll, 0}, {5, 4, 4}}}, 1);
  EXPECT_DOUBLE_EQ(mixed.seconds(100), 100 + 2 * loops(100, kAll, 0) + 5 * loops(100, 4, 4));
}

TEST(CostModel, ABatchIsItsTextsAndWhatItCostsByItself) {
  const CostModel model(kWork);
  const std::vector<size_t> batch{5, 0, 100};
  EXPECT_DOUBLE_EQ(model.batch_seconds(batch), model.fixed_seconds() + model.seconds(5) + model.seconds(100));
}

}  // namespace
}  // namespace wde
