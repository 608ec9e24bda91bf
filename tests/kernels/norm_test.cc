// layer_norm and l2_normalize against their formulas in double precision.
#include "kernels/norm.h"

#include "kernels/every_target.h"
#include "kernels/reference.h"

namespace wde::kernels {
namespace {

using test::kCanary;
using test::Random;

class Norm : public test::EveryTarget {};
WDE_FOR_EVERY_TARGET(Norm);

const std::vector<size_t> kWidths = {1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 47, 48, 63, 65, 129, 384, 768, 1024, 1537};

// Sums of n terms in 2 x lanes partial sums; the result is of the order of |gamma| <= 1.
constexpr double kTolerance = 2e-6;

TEST_P(Norm, LayerNormMatchesTheReference) {
  for (size_t cols : kWidths) {
    const size_t rows = 5, x_stride = cols + 3, y_stride = cols + 6;
    Random random(cols);
    const auto x = random.floats((rows - 1) * x_stride + cols, 3.0f), gamma = random.floats(cols),
               beta = random.floats(cols);
    for (const float* shift : {beta.data(), static_cast<const float*>(nullptr)}) {
      std::vector<float> y((rows + 1) * y_stride, kCanary), want(cols);
      layer_norm(x.data(), x_stride, gamma.data(), shift, 1e-12f, y.data(), y_stride, rows, cols);
      for (size_t r = 0; r <= rows; ++r) {
        if (r < rows) reference::layer_norm(x.data() + r * x_stride, gamma.data(), shift, 1e-12f, want.data(), cols);
        for (size_t c = 0; c < y_stride; ++c) {
          const float got = y[r * y_stride + c];
          if (r < rows && c < cols) {
            // With one column x - mean is 0 or a rounding, blown up by the tiny eps: only beta is left of the formula.
            ASSERT_NEAR(got, want[c], kTolerance * std::max(1.0f, std::abs(want[c])))
                << cols << " columns, row " << r << ", column " << c;
          } else {
            ASSERT_EQ(got, kCanary) << "written outside";
          }
        }
      }
    }
  }
}

TEST_P(Norm, LayerNormInPlaceAndByRowAlone) {
  for (size_t cols : kWidths) {
    const size_t rows = 4, stride = cols + 1;
    Random random(cols + 1);
    auto x = random.floats(rows * stride);
    const auto gamma = random.floats(cols), beta = random.floats(cols);
    std::vector<float> apart(rows * stride), alone(cols);
    layer_norm(x.data(), stride, gamma.data(), beta.data(), 1e-5f, apart.data(), stride, rows, cols);
    const auto before = x;
    layer_norm(x.data(), stride, gamma.data(), beta.data(), 1e-5f, x.data(), stride, rows, cols);
    for (size_t r = 0; r < rows; ++r) {
      layer_norm(before.data() + r * stride, stride, gamma.data(), beta.data(), 1e-5f, alone.data(), cols, 1, cols);
      for (size_t c = 0; c < cols; ++c) {
        ASSERT_EQ(x[r * stride + c], apart[r * stride + c]);
        ASSERT_EQ(alone[c], apart[r * stride + c]);
      }
    }
  }
}

// Two passes: a large common offset costs the digits that the numbers themselves have lost, not the square of them.
TEST_P(Norm, LayerNormOfNumbersFarFromZero) {
  const size_t cols = 384;
  Random random(9);
  auto x = random.floats(cols);
  for (float& v : x) v += 1000.0f;
  const std::vector<float> gamma(cols, 1.0f), beta(cols, 0.0f);
  std::vector<float> y(cols), want(cols);
  layer_norm(x.data(), cols, gamma.data(), beta.data(), 1e-12f, y.data(), cols, 1, cols);
  reference::layer_norm(x.data(), gamma.data(), beta.data(), 1e-12f, want.data(), cols);
  // The mean is off by up to a unit of 1,000 (6e-5), the deviation is 0.58.
  for (size_t c = 0; c < cols; ++c) ASSERT_NEAR(y[c], want[c], 3e-4);
}

TEST_P(Norm, LayerNormOfEqualNumbersIsBeta) {
  for (size_t cols : {16, 48, 64}) {
    const std::vector<float> x(cols, 0.5f), gamma(cols, 2.0f);
    const auto beta = Random(4).floats(cols);
    std::vector<float> y(cols);
    layer_norm(x.data(), cols, gamma.data(), beta.data(), 1e-12f, y.data(), cols, 1, cols);
    for (size_t c = 0; c < cols; ++c) EXPECT_NEAR(y[c], beta[c], 1e-6);
  }
}

TEST_P(Norm, L2NormalizeMatchesTheReference) {
  for (size_t n : kWidths) {
    for (float amplitude : {1e-6f, 1.0f, 1e6f}) {
      auto x = Random(n).floats(n, amplitude);
      const auto before = x;
      x.push_back(kCanary);
      double squares = 0;
      for (float v : before) squares += static_cast<double>(v) * v;
      const double norm = std::max(std::sqrt(squares), 1e-12);
      l2_normalize(x.data(), n);
      // Squares are all positive, so the sum's relative error is a few units; then a root, a division, a product.
      for (size_t i = 0; i < n; ++i) ASSERT_NEAR(x[i], before[i] / norm, 1e-6) << n << " numbers of " << amplitude;
      ASSERT_EQ(x[n], kCanary);
    }
  }
}

TEST_P(Norm, L2NormalizeOfZerosIsZeros) {
  std::vector<float> x(37, 0.0f);
  l2_normalize(x.data(), x.size());
  EXPECT_EQ(x, std::vector<float>(37, 0.0f));
}

}  // namespace
}  // namespace wde::kernels
