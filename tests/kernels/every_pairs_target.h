// EveryTarget for kernels that multiply pairs of bfloat16.
#pragma once

#include "kernels/every_target.h"
#include "kernels/gemm_bf16.h"

namespace wde::kernels::test {

class EveryPairsTarget : public EveryTarget {
 protected:
  void SetUp() override {
    EveryTarget::SetUp();
    if (IsSkipped()) return;
    if (GetParam() == "AVX3" && !bf16_pairs()) GTEST_SKIP() << "NOT TESTED: this CPU has AVX-512, but not its BF16";
  }
};

}  // namespace wde::kernels::test
