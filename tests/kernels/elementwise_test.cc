// The small row helpers, each element against the same operation alone.
#include "kernels/elementwise.h"

#include "kernels/every_target.h"

namespace wde::kernels {
namespace {

using test::kCanary;
using test::Random;

class Elementwise : public test::EveryTarget {};
WDE_FOR_EVERY_TARGET(Elementwise);

const std::vector<size_t> kSizes = {0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 33, 48, 384, 1000};

// Runs `kernel` on y of every size (with a canary behind) and gives each element to `want(x, y)`.
template <class Kernel, class Want>
void check(Kernel kernel, Want want) {
  for (size_t n : kSizes) {
    const auto x = Random(n + 1).floats(n);
    auto y = Random(n + 2).floats(n);
    const auto before = y;
    y.push_back(kCanary);
    kernel(x.data(), y.data(), n);
    for (size_t i = 0; i < n; ++i) ASSERT_EQ(y[i], want(x[i], before[i])) << "element " << i << " of " << n;
    ASSERT_EQ(y[n], kCanary);
  }
}

TEST_P(Elementwise, Add) {
  check([](const float* x, float* y, size_t n) { add(x, y, n); }, [](float x, float y) { return y + x; });
}

TEST_P(Elementwise, Scale) {
  check([](const float*, float* y, size_t n) { scale(0.3f, y, n); }, [](float, float y) { return y * 0.3f; });
}

TEST_P(Elementwise, Maximum) {
  check([](const float* x, float* y, size_t n) { maximum(x, y, n); }, [](float x, float y) { return std::max(x, y); });
}

// The product may be rounded or not (fused), by instruction set.
TEST_P(Elementwise, AddScaled) {
  for (size_t n : kSizes) {
    const auto x = Random(n + 1).floats(n);
    auto y = Random(n + 2).floats(n);
    const auto before = y;
    y.push_back(kCanary);
    add_scaled(x.data(), 0.3f, y.data(), n);
    for (size_t i = 0; i < n; ++i) ASSERT_NEAR(y[i], before[i] + 0.3 * x[i], 2 * test::kUnit * 1.3);
    ASSERT_EQ(y[n], kCanary);
  }
}

}  // namespace
}  // namespace wde::kernels
