// gemm_bf16_pairs where AMX multiplies tiles (scripts/test_amx runs it on an emulated CPU that does), against the
// formula in double precision on the rounded numbers.
#include <bit>

#include "kernels/amx.h"
#include "kernels/bf16_choice.h"
#include "kernels/every_target.h"
#include "kernels/reference.h"

namespace wde::kernels {
namespace {

using test::kCanary;
using test::kUnit;
using test::Random;

double widened(float x) { return std::bit_cast<float>(uint32_t{to_bf16(x)} << 16); }

class AmxBf16 : public ::testing::Test {
 protected:
  void TearDown() override { force_bf16_kernel(""); }
  void SetUp() override {
    if (!amx_bf16()) GTEST_SKIP() << "NOT TESTED: this CPU has no AMX-BF16";
    force_bf16_kernel("AMX-BF16");
  }
};

// Buffers exactly as long as the kernels may read, so that AddressSanitizer sees them read further.
struct Problem {
  Problem(size_t rows, size_t cols, size_t depth) : m(rows), n(cols), k(depth), stride(bf16_row_stride(k)) {
    Random random(n * 1009 + k);
    a = random.floats(m * k);
    w = random.floats(n * k);
    bias = random.floats((n + 15) / 16 * 16);
    residual = random.floats(m * n);
    packed.resize(packed_bf16_halves(k, n));
    halves.assign(m * stride, 0x7fc0);  // NaN: what is behind a row must not be used
    pack_weight_bf16(w.data(), n, k, 0, packed.data());
    round_rows(a.data(), k, m, k, {halves.data(), stride});
  }
  // Of rows [first, first + count), each row n + 4 long, with a canary row behind the last.
  std::vector<float> run(size_t first, size_t count, Activation activation = Activation::kNone) {
    GemmEpilogue e;
    e.bias = bias.data();
    e.residual = residual.data() + first * n;
    e.residual_stride = n;
    e.activation = activation;
    std::vector<float> c((count + 1) * (n + 4), kCanary);
    gemm_bf16_pairs({halves.data() + first * stride, stride}, packed.data(), c.data(), n + 4, count, n, k, e);
    return c;
  }
  size_t m, n, k, stride;
  std::vector<float> a, w, bias, residual;
  std::vector<uint16_t> packed, halves;
};

TEST_F(AmxBf16, OddShapes) {
  constexpr size_t kMost = 71;
  for (size_t n : {1, 7, 16, 17, 31, 32, 33, 80, 384}) {
    for (size_t k : {1, 2, 3, 31, 32, 33, 66, 384, 1537}) {
      SCOPED_TRACE("n " + std::to_string(n) + ", k " + std::to_string(k));
      Problem p(kMost, n, k);
      const auto all = p.run(0, kMost);
      for (size_t row = 0; row <= kMost; ++row) {
        for (size_t col = 0; col < n + 4; ++col) {
          const float got = all[row * (n + 4) + col];
          if (row == kMost || col >= n) {
            ASSERT_EQ(got, kCanary) << "written outside of C";
            continue;
          }
          double want = 0, magnitude = 0;
          for (size_t kk = 0; kk < k; ++kk) {
            const double product = widened(p.a[row * k + kk]) * widened(p.w[col * k + kk]);
            want += product, magnitude += std::abs(product);
          }
          want += p.bias[col] + p.residual[row * n + col];
          ASSERT_NEAR(got, want, 8 * kUnit * (magnitude + 2)) << "row " << row << ", column " << col;
        }
      }
      for (size_t first : {0, 1, 40}) {
        for (size_t m : {1, 2, 15, 16, 17, 31}) {
          const auto some = p.run(first, m);
          ASSERT_TRUE(std::equal(some.begin(), some.begin() + static_cast<std::ptrdiff_t>(m * (n + 4)),
                                 all.begin() + static_cast<std::ptrdiff_t>(first * (n + 4))))
              << "rows " << first << " to " << first + m << " alone have other bits";
        }
      }
    }
  }
}

TEST_F(AmxBf16, ActivationComesLast) {
  for (size_t n : {5, 48}) {
    Problem p(200, n, 100);
    const auto plain = p.run(0, 200), activated = p.run(0, 200, Activation::kGelu);
    for (size_t row = 0; row < 200; ++row) {
      for (size_t col = 0; col < n; ++col) {
        const size_t at = row * (n + 4) + col;
        ASSERT_NEAR(activated[at], reference::activate(Activation::kGelu, plain[at]), 2e-6);
      }
    }
  }
}

TEST_F(AmxBf16, NotANumberStaysInItsRow) {
  for (float bad : {INFINITY, NAN}) {
    Problem p(40, 20, 70);
    p.a[17 * 70 + 69] = bad;
    round_rows(p.a.data(), 70, 40, 70, {p.halves.data(), p.stride});
    const auto c = p.run(0, 40);
    for (size_t row = 0; row < 40; ++row) {
      for (size_t col = 0; col < 20; ++col) EXPECT_EQ(std::isfinite(c[row * 24 + col]), row != 17) << row;
    }
  }
}

}  // namespace
}  // namespace wde::kernels
