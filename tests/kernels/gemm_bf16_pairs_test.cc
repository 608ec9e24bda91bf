// gemm_bf16_pairs is the same chain of operations on every instruction set, the CPU's own pairs among them.
#include <bit>

#include "kernels/every_pairs_target.h"
#include "kernels/gemm_bf16.h"

namespace wde::kernels {
namespace {

using test::kCanary;
using test::Random;

float widened(uint16_t half) { return std::bit_cast<float>(static_cast<uint32_t>(half) << 16); }

class Bf16Pairs : public test::EveryPairsTarget {};
WDE_FOR_EVERY_TARGET(Bf16Pairs);

TEST_P(Bf16Pairs, IsTheChainOfItsFormula) {
  for (size_t n : {1, 7, 16, 17, 32, 33, 80, 384}) {
    for (size_t k : {1, 2, 3, 12, 13, 384, 1537}) {
      if (test::too_slow_for(GetParam(), n * k / 100)) continue;
      SCOPED_TRACE("n " + std::to_string(n) + ", k " + std::to_string(k));
      const size_t most = 31, stride = bf16_row_stride(k);
      Random random(n * 1009 + k);
      const auto a = random.floats(most * k), w = random.floats(n * k);
      const auto bias = random.floats((n + 15) / 16 * 16), residual = random.floats(most * n);
      std::vector<uint16_t> packed(packed_bf16_halves(k, n)), halves(most * stride, 0x7fc0);
      pack_weight_bf16(w.data(), n, k, 0, packed.data());
      round_rows(a.data(), k, most, k, {halves.data(), stride});
      for (const size_t m : {size_t{1}, size_t{2}, size_t{6}, size_t{13}, size_t{15}, size_t{29}, most}) {
        GemmEpilogue e;
        e.bias = bias.data();
        e.residual = residual.data();
        e.residual_stride = n;
        std::vector<float> want((m + 1) * (n + 4), kCanary), got = want;
        for (size_t row = 0; row < m; ++row) {
          for (size_t col = 0; col < n; ++col) {
            float sum = 0;
            for (size_t kk = 0; kk < k; kk += 2) {
              const auto product = [&](size_t at) {
                if (at < k) sum = std::fma(widened(to_bf16(a[row * k + at])), widened(to_bf16(w[col * k + at])), sum);
              };
              product(kk + 1);
              product(kk);
            }
            want[row * (n + 4) + col] = sum + bias[col] + residual[row * n + col];
          }
        }
        gemm_bf16_pairs({halves.data(), stride}, packed.data(), got.data(), n + 4, m, n, k, e);
        ASSERT_EQ(got, want) << "m " << m;
      }
    }
  }
}

TEST_P(Bf16Pairs, RowsAreRoundedAsSingleNumbersAre) {
  for (size_t k : {1, 2, 15, 16, 17, 31, 32, 33, 100}) {
    const size_t rows = 3, stride = bf16_row_stride(k);
    auto x = Random(k).floats(rows * (k + 5), 3.0f);
    const float specials[] = {0.0f,
                              -0.0f,
                              INFINITY,
                              -INFINITY,
                              std::numeric_limits<float>::max(),
                              std::bit_cast<float>(0x3f808000u),
                              std::bit_cast<float>(0x7f800001u),
                              std::bit_cast<float>(0xff800001u),
                              std::bit_cast<float>(1u)};
    for (size_t i = 0; i < std::size(specials) && i < k; ++i) x[k - 1 - i] = specials[i];
    std::vector<uint16_t> out(rows * stride, 0x1234);
    round_rows(x.data(), k + 5, rows, k, {out.data(), stride});
    for (size_t row = 0; row < rows; ++row) {
      for (size_t i = 0; i < k; ++i)
        EXPECT_EQ(out[row * stride + i], to_bf16(x[row * (k + 5) + i])) << "k " << k << ", row " << row << ", at " << i;
      if (k % 2 != 0) {
        EXPECT_EQ(out[row * stride + k], 0) << "k " << k;
      }
    }
  }
}

TEST_P(Bf16Pairs, NotANumberStaysInItsRow) {
  const size_t k = 70, n = 20, stride = bf16_row_stride(k);
  Random random(3);
  auto a = random.floats(3 * k);
  const auto w = random.floats(n * k);
  for (float bad : {INFINITY, NAN}) {
    a[k + 33] = bad;
    std::vector<uint16_t> packed(packed_bf16_halves(k, n)), halves(3 * stride);
    pack_weight_bf16(w.data(), n, k, 0, packed.data());
    round_rows(a.data(), k, 3, k, {halves.data(), stride});
    std::vector<float> c(3 * n);
    gemm_bf16_pairs({halves.data(), stride}, packed.data(), c.data(), n, 3, n, k, {});
    for (size_t j = 0; j < n; ++j) {
      EXPECT_TRUE(std::isfinite(c[j]) && std::isfinite(c[2 * n + j]));
      EXPECT_FALSE(std::isfinite(c[n + j]));
    }
  }
}

}  // namespace
}  // namespace wde::kernels
