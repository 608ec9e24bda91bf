// EveryTarget for kernels that multiply pairs of bfloat16, on AVX-512 those of AVX512-BF16.
#pragma once

#include "kernels/bf16_choice.h"
#include "kernels/every_target.h"
#include "kernels/gemm_bf16.h"

namespace wde::kernels::test {

class EveryPairsTarget : public EveryTarget {
 protected:
  void SetUp() override {
    EveryTarget::SetUp();
    if (IsSkipped()) return;
    if (GetParam() == "AVX3" && bf16_pair_cost() == 0)
      GTEST_SKIP() << "NOT TESTED: this CPU has AVX-512, but not its BF16";
    force_bf16_kernel("AVX512-BF16");
  }
  void TearDown() override {
    force_bf16_kernel("");
    EveryTarget::TearDown();
  }
};

}  // namespace wde::kernels::test
