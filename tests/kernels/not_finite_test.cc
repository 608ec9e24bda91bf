// NaN and infinities on every instruction set: nothing that bounds, caps or compares makes a number of them, which the
// output's check would then let pass.
#include "kernels/activation.h"
#include "kernels/attention.h"
#include "kernels/elementwise.h"
#include "kernels/every_target.h"

namespace wde::kernels {
namespace {

using test::Random;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();

class NotFinite : public test::EveryTarget {};
WDE_FOR_EVERY_TARGET(NotFinite);

TEST_P(NotFinite, AllFiniteFindsIt) {
  for (size_t n : {1, 3, 16, 17, 64, 70, 384}) {
    std::vector<float> x = Random(n).floats(n, 3e38f);
    EXPECT_TRUE(all_finite(x.data(), n));
    EXPECT_TRUE(all_finite(x.data(), 0));
    for (size_t at = 0; at < n; at += 1 + n / 20) {
      for (const float bad : {kNan, kInf, -kInf}) {
        const float before = std::exchange(x[at], bad);
        EXPECT_FALSE(all_finite(x.data(), n)) << bad << " at " << at << " of " << n;
        x[at] = before;
      }
    }
  }
}

TEST_P(NotFinite, MaximumKeepsIt) {
  for (size_t n : {1, 5, 16, 19, 64}) {
    const std::vector<float> number = Random(n).floats(n);
    for (size_t at = 0; at < n; ++at) {
      for (const float bad : {kNan, kInf, -kInf}) {
        std::vector<float> x = number, y(n, 0.5f);
        x[at] = bad;
        maximum(x.data(), y.data(), n);
        maximum(number.data(), y.data(), n);  // and the values after it do not hide it
        for (size_t i = 0; i < n; ++i) EXPECT_EQ(std::isnan(y[i]), i == at) << bad << " at " << at << " of " << n;
      }
    }
  }
}

TEST_P(NotFinite, ActivationsKeepNaN) {
  for (const Activation act : {Activation::kNone, Activation::kGelu, Activation::kGeluTanh, Activation::kQuickGelu,
                               Activation::kRelu, Activation::kSilu, Activation::kTanh, Activation::kSigmoid}) {
    std::vector<float> x(37, 0.5f);
    x[3] = x[36] = kNan;
    activate(act, x.data(), 1, x.size(), x.size());
    for (size_t i = 0; i < x.size(); ++i) EXPECT_EQ(std::isnan(x[i]), i == 3 || i == 36) << static_cast<int>(act);
  }
}

TEST_P(NotFinite, GeluKeepsInfinities) {
  std::vector<float> x(20, -kInf);
  x[1] = kInf;
  x[2] = -30.0f;
  activate(Activation::kGelu, x.data(), 1, x.size(), x.size());
  for (size_t i = 0; i < x.size(); ++i) EXPECT_EQ(std::isfinite(x[i]), i == 2) << x[i];
  EXPECT_EQ(x[2], 0.0f);
}

TEST_P(NotFinite, SoftCapKeepsNaN) {
  constexpr size_t kTokens = 21, kDim = 16;
  std::vector<float> q = Random(1).floats(kTokens * kDim), k = Random(2).floats(kTokens * kDim),
                     v = Random(3).floats(kTokens * kDim);
  q[4 * kDim + 3] = kNan;
  AttentionArgs args;
  args.q = q.data(), args.k = k.data(), args.v = v.data();
  args.q_stride = args.k_stride = args.v_stride = args.out_stride = kDim;
  args.q_len = args.k_len = kTokens;
  args.num_heads = args.num_kv_heads = 1;
  args.head_dim = kDim;
  args.soft_cap = 5.0f;
  for (const auto kernel : {flash_attention, chunked_attention, naive_attention}) {
    std::vector<float> out(kTokens * kDim),
        scratch(flash_attention_scratch(kTokens, kDim) + chunked_attention_scratch(kDim) + kTokens);
    args.out = out.data();
    kernel(args, scratch.data());
    for (size_t row = 0; row < kTokens; ++row) EXPECT_EQ(all_finite(out.data() + row * kDim, kDim), row != 4) << row;
  }
}

}  // namespace
}  // namespace wde::kernels
