// gemm_bf16 is gemm on the rounded weights, to the last bit, whatever the shape.
#include "kernels/gemm_bf16.h"

#include <bit>

#include "kernels/every_target.h"

namespace wde::kernels {
namespace {

using test::kCanary;
using test::Random;

float rounded(float x) { return std::bit_cast<float>(static_cast<uint32_t>(to_bf16(x)) << 16); }

class Bf16Gemm : public test::EveryTarget {};
WDE_FOR_EVERY_TARGET(Bf16Gemm);

TEST_P(Bf16Gemm, IsTheFloatGemmOnRoundedWeights) {
  for (size_t n : {1, 7, 16, 17, 32, 33, 80, 384}) {
    for (size_t k : {1, 2, 3, 12, 13, 384, 1537}) {
      if (test::too_slow_for(GetParam(), n * k / 100)) continue;
      SCOPED_TRACE("n " + std::to_string(n) + ", k " + std::to_string(k));
      const size_t most = 31, lda = k + 3;
      Random random(n * 1009 + k);
      const auto a = random.floats((most - 1) * lda + k), w = random.floats(n * k);
      const auto bias = random.floats((n + 15) / 16 * 16), residual = random.floats(most * n);
      std::vector<float> w_rounded = w;
      for (float& value : w_rounded) value = rounded(value);
      std::vector<float> packed(packed_floats(k, n));
      std::vector<uint16_t> packed16(packed_bf16_halves(k, n));
      pack_weight(w_rounded.data(), n, k, 0, packed.data());
      pack_weight_bf16(w.data(), n, k, 0, packed16.data());
      for (const size_t m : {size_t{1}, size_t{2}, size_t{6}, size_t{13}, size_t{15}, size_t{29}, most}) {
        for (Activation activation : {Activation::kNone, Activation::kGelu}) {
          GemmEpilogue e;
          e.bias = bias.data();
          e.residual = residual.data();
          e.residual_stride = n;
          e.activation = activation;
          std::vector<float> want((m + 1) * (n + 4), kCanary), got = want;
          gemm(a.data(), lda, packed.data(), want.data(), n + 4, m, n, k, e);
          gemm_bf16(a.data(), lda, packed16.data(), got.data(), n + 4, m, n, k, e);
          ASSERT_EQ(got, want) << "m " << m;
        }
      }
    }
  }
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
