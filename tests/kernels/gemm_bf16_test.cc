// gemm_bf16 is gemm on the rounded weights, to the last bit, whatever the shape.
#include "kernels/gemm_bf16.h"

#include <bit>

#include "kernels/every_target.h"
#include "kernels/same_as_gemm.h"

namespace wde::kernels {
namespace {

using test::Random;

float rounded(float x) { return std::bit_cast<float>(static_cast<uint32_t>(to_bf16(x)) << 16); }

class Bf16Gemm : public test::EveryTarget {};
WDE_FOR_EVERY_TARGET(Bf16Gemm);

TEST_P(Bf16Gemm, IsTheFloatGemmOnRoundedWeights) {
  const auto any_rounded = [](Random& random) { return rounded(random.uniform()); };
  const auto pack = [](const std::vector<float>& w, size_t n, size_t k) {
    std::vector<uint16_t> packed(packed_bf16_halves(k, n));
    pack_weight_bf16(w.data(), n, k, 0, packed.data());
    return packed;
  };
  test::expect_same_as_gemm(GetParam(), any_rounded, pack, gemm_bf16);
}

TEST(PackWeightBf16, ColumnOffsets) {
  const size_t k = 13, n = 51;
  const auto w = Random(5).floats(n * k);
  std::vector<uint16_t> whole(packed_bf16_halves(k, n) + 1, 0), parts(whole.size(), 0);
  whole.back() = parts.back() = 0x1234;
  pack_weight_bf16(w.data(), n, k, 0, whole.data());
  pack_weight_bf16(w.data() + 20 * k, n - 20, k, 20, parts.data());
  pack_weight_bf16(w.data(), 20, k, 0, parts.data());
  EXPECT_EQ(whole, parts);
  EXPECT_EQ(whole.back(), 0x1234);
  for (size_t col = 0; col < n; ++col) {
    for (size_t kk = 0; kk < k; ++kk)
      EXPECT_EQ(whole[col / 16 * 16 * 14 + kk / 2 * 32 + col % 16 * 2 + kk % 2], to_bf16(w[col * k + kk]));
  }
}

TEST(ToBf16, RoundsToTheNearestEven) {
  EXPECT_EQ(to_bf16(1.0f), 0x3f80);
  EXPECT_EQ(to_bf16(std::bit_cast<float>(0x3f808000u)), 0x3f80);  // a tie: to the even one
  EXPECT_EQ(to_bf16(std::bit_cast<float>(0x3f818000u)), 0x3f82);
  EXPECT_EQ(to_bf16(std::bit_cast<float>(0x3f808001u)), 0x3f81);
  EXPECT_EQ(to_bf16(std::bit_cast<float>(0x7f7fffffu)), 0x7f80);  // beyond the largest
  EXPECT_EQ(to_bf16(std::bit_cast<float>(0x7f800001u)) & 0x7fff, 0x7fc0);
  EXPECT_EQ(to_bf16(-0.0f), 0x8000);
}

}  // namespace
}  // namespace wde::kernels
