// The activations against their formulas in double precision, over the whole range of float32.
#include "kernels/activation.h"

#include <bit>
#include <cstring>

#include "kernels/every_target.h"
#include "kernels/reference.h"

namespace wde::kernels {
namespace {

using test::kCanary;

class Activations : public test::EveryTarget {};
WDE_FOR_EVERY_TARGET(Activations);

const std::vector<Activation> kAll = {Activation::kNone, Activation::kGelu, Activation::kGeluTanh, Activation::kRelu,
                                      Activation::kSilu, Activation::kTanh, Activation::kSigmoid};

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Every exponent and sign with evenly spread mantissas, and [-100, 100] densely.
std::vector<float> whole_range() {
  std::vector<float> out;
  for (uint32_t exponent = 0; exponent < 255; ++exponent) {
    for (uint32_t step = 0; step < 200; ++step) {
      const uint32_t bits = exponent << 23 | step * 41943u;
      out.push_back(std::bit_cast<float>(bits));
      out.push_back(-out.back());
    }
  }
  for (int i = -100'000; i <= 100'000; ++i) out.push_back(static_cast<float>(i) * 1e-3f);
  return out;
}

std::vector<float> activated(Activation act, std::vector<float> x) {
  activate(act, x.data(), 1, x.size(), x.size());
  return x;
}

float one(Activation act, float x) {
  activate(act, &x, 1, 1, 1);
  return x;
}

// |error| <= absolute * max(1, |x|) + relative * |want| for every x.
void expect_accuracy(Activation act, double absolute, double relative) {
  const auto x = whole_range();
  const auto got = activated(act, x);
  double worst = 0;
  float worst_at = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double want = reference::activate(act, x[i]);
    ASSERT_TRUE(std::isfinite(got[i])) << "at " << x[i];
    const double error = std::abs(got[i] - want),
                 allowed = absolute * std::max(1.0, std::abs(static_cast<double>(x[i]))) + relative * std::abs(want);
    if (error / allowed > worst) worst = error / allowed, worst_at = x[i];
  }
  EXPECT_LE(worst, 1.0) << "times what is allowed, at " << worst_at << ": got " << one(act, worst_at) << ", want "
                        << reference::activate(act, worst_at);
}

// Scaled by |x|: what a float32 of the input's size can hold. gelu's fit leaves 3.2e-7.
TEST_P(Activations, GeluWithin1e6) { expect_accuracy(Activation::kGelu, 4e-7, 0); }
TEST_P(Activations, GeluTanhWithin1e6) { expect_accuracy(Activation::kGeluTanh, 4e-7, 0); }
TEST_P(Activations, SiluWithin1e6) { expect_accuracy(Activation::kSilu, 4e-7, 0); }
TEST_P(Activations, SigmoidWithin1e6) { expect_accuracy(Activation::kSigmoid, 1e-37, 4e-7); }
TEST_P(Activations, TanhWithin1e6) { expect_accuracy(Activation::kTanh, 1e-44, 4e-7); }
TEST_P(Activations, ReluIsExact) { expect_accuracy(Activation::kRelu, 0, 1e-30); }

// exp itself is inside the kernels. sigmoid(x) is e^x / (1 + e^x): below -20 that is e^x to 2e-9.
TEST_P(Activations, ExpWithin4e7) {
  std::vector<float> x;
  for (int i = 20'000; i <= 86'000; ++i) x.push_back(static_cast<float>(i) * -1e-3f);
  const auto got = activated(Activation::kSigmoid, x);
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i)
    worst = std::max(worst, std::abs(got[i] / std::exp(static_cast<double>(x[i])) - 1.0));
  EXPECT_LE(worst, 4e-7);
}

// Infinities: the limits, where there is one. NaN stays NaN, so that the output stage can refuse it.
TEST_P(Activations, InfinitiesAndNan) {
  EXPECT_EQ(one(Activation::kGelu, kInf), kInf);
  EXPECT_TRUE(std::isnan(one(Activation::kGelu, -kInf)));  // as in torch
  EXPECT_EQ(one(Activation::kGeluTanh, kInf), kInf);
  EXPECT_EQ(one(Activation::kSilu, kInf), kInf);
  EXPECT_EQ(one(Activation::kRelu, kInf), kInf);
  EXPECT_EQ(one(Activation::kRelu, -kInf), 0.0f);
  EXPECT_EQ(one(Activation::kTanh, kInf), 1.0f);
  EXPECT_EQ(one(Activation::kTanh, -kInf), -1.0f);
  EXPECT_EQ(one(Activation::kSigmoid, kInf), 1.0f);
  EXPECT_LE(one(Activation::kSigmoid, -kInf), 2e-38f);
  EXPECT_GE(one(Activation::kSigmoid, -kInf), 0.0f);
  for (Activation act : kAll) EXPECT_TRUE(std::isnan(one(act, kNan))) << static_cast<int>(act);
}

TEST_P(Activations, ZeroAndSigns) {
  for (Activation act :
       {Activation::kGelu, Activation::kGeluTanh, Activation::kRelu, Activation::kSilu, Activation::kTanh}) {
    EXPECT_EQ(one(act, 0.0f), 0.0f) << static_cast<int>(act);
  }
  EXPECT_EQ(one(Activation::kSigmoid, 0.0f), 0.5f);
  for (float x : {0.01f, 0.3f, 0.5499f, 0.55f, 2.0f, 9.0f, 20.0f})
    EXPECT_EQ(one(Activation::kTanh, -x), -one(Activation::kTanh, x));
}

// Whole vectors, single ones and the masked tail compute the same operations.
TEST_P(Activations, PlaceInTheRowDoesNotMatter) {
  const std::vector<float> inputs = {-3.3f, -0.7f, -1e-3f, 0.2f, 0.55f, 1.7f, 5.1f};
  for (Activation act : kAll) {
    for (float x : inputs) {
      const float want = one(act, x);
      for (size_t cols : {1, 3, 15, 16, 17, 33, 63, 64, 65, 127, 130}) {
        const size_t stride = cols + 2, rows = 3;
        std::vector<float> values(rows * stride, kCanary);
        for (size_t r = 0; r < rows; ++r)
          std::fill_n(values.begin() + static_cast<std::ptrdiff_t>(r * stride), cols, x);
        activate(act, values.data(), rows, cols, stride);
        for (size_t i = 0; i < values.size(); ++i) {
          ASSERT_EQ(values[i], i % stride < cols ? want : kCanary)
              << "element " << i << " of rows of " << cols << ", activation " << static_cast<int>(act);
        }
      }
    }
  }
}

TEST(ActivationNames, AreTransformersNames) {
  EXPECT_EQ(activation_from_name("gelu"), Activation::kGelu);
  for (const char* name : {"gelu_new", "gelu_pytorch_tanh", "gelu_fast"})
    EXPECT_EQ(activation_from_name(name), Activation::kGeluTanh);
  EXPECT_EQ(activation_from_name("relu"), Activation::kRelu);
  for (const char* name : {"silu", "swish"}) EXPECT_EQ(activation_from_name(name), Activation::kSilu);
  EXPECT_EQ(activation_from_name("tanh"), Activation::kTanh);
  EXPECT_EQ(activation_from_name("sigmoid"), Activation::kSigmoid);
  for (const char* name : {"identity", "linear"}) EXPECT_EQ(activation_from_name(name), Activation::kNone);
  for (const char* name : {"", "GELU", "gelu ", "mish", "relu6"})
    EXPECT_EQ(activation_from_name(name), std::nullopt) << name;
}

}  // namespace
}  // namespace wde::kernels
