// A test fixture that runs its tests once for every instruction set that the kernels are compiled for, and what the
// kernel tests share.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/dispatch.h"

namespace wde::kernels::test {

class EveryTarget : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    force_target("");
    const auto runnable = runnable_targets();
    if (std::find(runnable.begin(), runnable.end(), GetParam()) == runnable.end()) {
      GTEST_SKIP() << "NOT TESTED: the kernels are compiled for " << GetParam() << ", but this CPU does not have it";
    }
    force_target(GetParam());
    ASSERT_EQ(active_target(), GetParam());
  }
  void TearDown() override { force_target(""); }
};

#define WDE_FOR_EVERY_TARGET(fixture)                                                             \
  INSTANTIATE_TEST_SUITE_P(Isa, fixture, ::testing::ValuesIn(::wde::kernels::compiled_targets()), \
                           [](const auto& test_info) { return test_info.param; })

// Numbers in [-1, 1), the same on every machine (xorshift64*).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 2654435761u + 88172645463325252u) {}
  uint64_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 2685821657736338717u;
  }
  float uniform() { return static_cast<float>(static_cast<int64_t>(next() >> 40) - (1 << 23)) * 0x1p-23f; }
  std::vector<float> floats(size_t n, float amplitude = 1.0f) {
    std::vector<float> out(n);
    for (float& x : out) x = amplitude * uniform();
    return out;
  }

 private:
  uint64_t state_;
};

// Rounding unit of float32: one operation is off by at most this fraction of its result.
inline constexpr double kUnit = 0x1p-24;

// A sanitizer makes the kernels some fifty times slower, most of all the one-lane ones, on which the longest shapes are
// left out then.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif
inline bool too_slow_for(const std::string& target, size_t length) {
  return kSanitized && target == "SCALAR" && length > 600;
}

inline void expect_near(const std::vector<float>& got, const std::vector<float>& want, double tolerance) {
  ASSERT_EQ(got.size(), want.size());
  double worst = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double error = std::abs(static_cast<double>(got[i]) - want[i]);
    if (!(error <= worst)) worst = error;
    if (std::isnan(worst)) break;
  }
  EXPECT_LE(worst, tolerance);
}

// What no kernel computes; found again, it was not written to.
inline constexpr float kCanary = -7.25e33f;

}  // namespace wde::kernels::test
