// gemm_f16 is gemm on the same numbers, to the last bit, whatever the shape.
#include "kernels/gemm_f16.h"

#include <bit>

#include "kernels/every_target.h"
#include "kernels/same_as_gemm.h"

namespace wde::kernels {
namespace {

using test::Random;

// What the 16 bits mean (IEEE 754, binary16).
float value_of(uint16_t half) {
  const int exponent = half >> 10 & 31;
  const double fraction = half & 1023, sign = half >> 15 != 0 ? -1 : 1;
  if (exponent == 31) return static_cast<float>(fraction != 0 ? NAN : sign * INFINITY);
  if (exponent == 0) return static_cast<float>(sign * std::ldexp(fraction, -24));
  return static_cast<float>(sign * std::ldexp(1024 + fraction, exponent - 25));
}

TEST(ToF16, IsTheInverseOfEveryHalf) {
  for (uint32_t half = 0; half <= 0xffff; ++half) {
    const float x = value_of(static_cast<uint16_t>(half));
    const uint16_t back = to_f16(x);
    if (std::isnan(x)) {
      EXPECT_TRUE(std::isnan(value_of(back)));
    } else {
      ASSERT_EQ(back, half);
    }
  }
}

class F16Gemm : public test::EveryTarget {};
WDE_FOR_EVERY_TARGET(F16Gemm);

TEST_P(F16Gemm, IsTheFloatGemm) {
  const auto any_finite = [](Random& random) {  // denormals among them
    uint16_t half = 0x7c00;
    while ((half & 0x7c00) == 0x7c00) half = static_cast<uint16_t>(random.next() >> 40);
    return value_of(half);
  };
  const auto pack = [](const std::vector<float>& w, size_t n, size_t k) {
    std::vector<uint16_t> packed(packed_floats(k, n));
    pack_weight_f16(w.data(), n, k, 0, packed.data());
    return packed;
  };
  test::expect_same_as_gemm(GetParam(), any_finite, pack, gemm_f16);
}

TEST_P(F16Gemm, WeightsThatAreNotFiniteStaySo) {
  if (!widening_is_free()) GTEST_SKIP() << "NOT TESTED: " << GetParam() << " does not convert them, and is not used";
  const size_t k = 5, n = 20;
  const std::vector<float> a(k, 1.0f);
  for (float bad : {INFINITY, -INFINITY, NAN}) {
    std::vector<float> w(n * k, 0.5f), c(n);
    w[7 * k + 2] = bad;
    std::vector<uint16_t> packed(packed_floats(k, n));
    pack_weight_f16(w.data(), n, k, 0, packed.data());
    gemm_f16(a.data(), k, packed.data(), c.data(), n, 1, n, k, {});
    for (size_t j = 0; j < n; ++j) EXPECT_EQ(std::isfinite(c[j]), j != 7) << j;
  }
}

}  // namespace
}  // namespace wde::kernels
