// Which kernel multiplies bfloat16: what is chosen fits what was measured, and stays.
#include "kernels/bf16_choice.h"

#include <algorithm>
#include <cstdlib>

#include <gtest/gtest.h>

namespace wde::kernels {
namespace {

bool runs(const std::string& name) {
  const auto runnable = bf16_runnable();
  return std::find(runnable.begin(), runnable.end(), name) != runnable.end();
}

class Bf16Choice : public ::testing::Test {
 protected:
  void TearDown() override { force_bf16_kernel(""); }
};

TEST_F(Bf16Choice, PairsAreUsedWhereTheyTakeLessThanOneAndAHalfFmas) {
  const double cost = bf16_pair_cost();
  EXPECT_EQ(cost > 0, runs("AVX512-BF16"));
  EXPECT_EQ(bf16_pair_cost(), cost) << "measured once";
  if (std::getenv("WDE_BFLOAT16_KERNEL") != nullptr) GTEST_SKIP() << "NOT TESTED: WDE_BFLOAT16_KERNEL decides";
  const bool fast = cost > 0 && cost < 1.5;
  EXPECT_EQ(bf16_attention(), fast);
  EXPECT_EQ(bf16_tiles(), runs("AMX-BF16"));
  EXPECT_EQ(bf16_pairs(), fast || runs("AMX-BF16"));
  EXPECT_EQ(bf16_kernel(), runs("AMX-BF16") ? "AMX-BF16" : fast ? "AVX512-BF16" : "FLOAT32");
  EXPECT_NE(bf16_reason(), "");
}

TEST_F(Bf16Choice, EveryRunnableKernelCanBeForced) {
  for (const std::string& name : bf16_runnable()) {
    force_bf16_kernel(name);
    EXPECT_EQ(bf16_kernel(), name);
    EXPECT_EQ(bf16_pairs(), name != "FLOAT32");
    EXPECT_EQ(bf16_tiles(), name == "AMX-BF16");
    if (name != "AMX-BF16") {
      EXPECT_EQ(bf16_attention(), name == "AVX512-BF16");
    }
  }
  force_bf16_kernel("");
  const std::string chosen = bf16_kernel();
  force_bf16_kernel("no such kernel");
  EXPECT_EQ(bf16_kernel(), chosen);
}

}  // namespace
}  // namespace wde::kernels
