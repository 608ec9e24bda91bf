// EveryTarget for kernels that multiply pairs of bfloat16, on AVX-512 those of AVX512-BF16.
#pragma once

#include "kernels/amx.h"
#include "kernels/every_target.h"
#include "kernels/gemm_bf16.h"

namespace wde::kernels::test {

class EveryPairsTarget : public EveryTarget {
 protected:
  void SetUp() override {
    EveryTarget::SetUp();
    force_bf16_amx_off(true);
    if (IsSkipped()) return;
    if (GetParam() == "AVX3" && !bf16_pairs()) GTEST_SKIP() << "NOT TESTED: this CPU has AVX-512, but not its BF16";
  }
  void TearDown() override {
    force_bf16_amx_off(false);
    EveryTarget::TearDown();
  }
};

}  // namespace wde::kernels::test
