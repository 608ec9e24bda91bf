// flash_attention against naive_attention, the formula in double precision.
#include "kernels/attention_case.h"

namespace wde::kernels {
namespace {

using test::Case;
using test::compare;
using test::expect_near;
using test::kCanary;
using test::kUnit;
using test::Mask;
using test::Random;

class Attention : public test::EveryTarget {};
WDE_FOR_EVERY_TARGET(Attention);

TEST_P(Attention, HeadDimensions) {
  for (size_t head_dim : {1, 2, 12, 16, 24, 32, 48, 64, 80, 128}) {
    for (size_t length : {1, 2, 15, 16, 17, 61, 113}) compare({length, head_dim});
  }
}

TEST_P(Attention, GroupedQueries) {
  for (auto [heads, kv_heads] : {std::pair<size_t, size_t>{4, 4}, {4, 2}, {6, 2}, {4, 1}, {12, 3}}) {
    for (size_t head_dim : {12, 16, 64}) compare({37, head_dim, heads, kv_heads});
  }
}

// Primes, and both sides of the tile (14, 6, 3 rows), block (56 queries) and one-pass (1,024 keys) borders.
TEST_P(Attention, Lengths) {
  for (size_t length : {1, 2, 3, 5, 7, 11, 13, 14, 29, 55, 56, 57, 127, 251, 509, 513, 1019, 1023, 1024, 1025, 1031}) {
    if (test::too_slow_for(GetParam(), length)) continue;
    compare({length, 16});
    compare({length, 16}, {.causal = true});
    compare({length, 12}, {.causal = true});
  }
  if (test::too_slow_for(GetParam(), 2049)) return;
  compare({1031, 64});
  compare({2049, 24});
  compare({2049, 32}, {.causal = true});
}

TEST_P(Attention, Windows) {
  for (int64_t left : {kNoWindow, int64_t{0}, int64_t{1}, int64_t{7}, int64_t{64}}) {
    for (int64_t right : {kNoWindow, int64_t{0}, int64_t{3}, int64_t{64}}) {
      for (bool causal : {false, true}) {
        for (size_t length : {1, 17, 58, 131}) compare({length, 16}, {causal, left, right});
        if (!test::too_slow_for(GetParam(), 1031)) compare({1031, 12}, {causal, left, right});
      }
    }
  }
  if (test::too_slow_for(GetParam(), 2049)) return;
  compare({2049, 16}, {false, 600, 600});
  compare({2049, 16}, {true, 700, kNoWindow});
}

// Several blocks of keys, wide windows across them, narrow ones anywhere. Float32 sums of 8,192 weights stay as exact.
TEST_P(Attention, LongTexts) {
  if (test::too_slow_for(GetParam(), 8192)) return;
  const size_t longest = GetParam() == "SCALAR" || test::kSanitized ? 2311 : 8192;
  for (const Mask& mask :
       std::vector<Mask>{{}, {.causal = true}, {false, 1500, 700}, {true, 64, kNoWindow}, {false, 64, 64}}) {
    compare({longest, 16}, mask);
    compare({longest / 2 + 3, 20, 2, 1}, mask);
  }
}

// A model that needs single rows (cls, last token) gets the bits that it would have got among all.
TEST_P(Attention, SingleRowsAreBitEqualToTheWhole) {
  const std::vector<Mask> masks = {{}, {true}, {false, 5, 5}, {false, 300, 200}, {true, 600, kNoWindow}, {false, 0, 0}};
  for (size_t length : {1, 2, 57, 131, 1024, 1031, 2049}) {
    if (test::too_slow_for(GetParam(), length)) continue;
    for (const Mask& mask : masks) {
      SCOPED_TRACE("length " + std::to_string(length) + (mask.causal ? ", causal" : "") + ", window " +
                   std::to_string(mask.left));
      const Case c({length, 24, 2, 1}, mask);
      const auto all = c.flash();
      const auto last = static_cast<int32_t>(length - 1);
      for (int32_t position : {0, last / 3, last / 2, last}) {
        EXPECT_EQ(c.flash({position}), c.rows_of(all, {position})) << "row " << position;
      }
      EXPECT_EQ(c.flash({last, 0}), c.rows_of(all, {last, 0}));
    }
  }
}

// Queries behind all keys, with a window that does not reach back to them; some rows of a block see keys and some none.
TEST_P(Attention, RowsThatSeeNoKeyAreZeros) {
  for (size_t length : {20, 1100}) {
    Case c({length, 16, 2, 1}, {false, 4, kNoWindow});
    const auto n = static_cast<int32_t>(length);
    std::vector<int32_t> positions;
    std::vector<float> queries = Random(5).floats(60 * c.args.q_stride), out(60 * c.width(), kCanary), want(out);
    for (int32_t i = 0; i < 60; ++i) positions.push_back(n - 3 + i);
    c.args.q = queries.data();
    c.args.q_len = positions.size();
    c.args.q_positions = positions.data();
    c.args.out_stride = c.width();
    std::vector<float> scratch(flash_attention_scratch(length, 16, 2));
    c.args.out = out.data();
    flash_attention(c.args, scratch.data());
    c.args.out = want.data();
    naive_attention(c.args, scratch.data());
    expect_near(out, want, c.tolerance());
    for (size_t row = 7; row < 60; ++row) {  // position n + 4 is the first without keys
      for (size_t x = 0; x < c.width(); ++x) ASSERT_EQ(out[row * c.width() + x], 0.0f) << "row " << row;
    }
  }
}

// Values that are all alike come out as they went in, whatever the weights.
TEST_P(Attention, WeightsSumToOne) {
  for (size_t length : {1, 33, 1031}) {
    for (float scale : {0.1f, 1.0f, 30.0f}) {
      Case c({length, 32}, {.causal = true}, scale);
      c.fill_values(3.0f);
      expect_near(c.flash(), std::vector<float>(length * 32, 3.0f), 3 * 2e-6);
    }
  }
}

// Logits in the thousands, where e^x would be infinite, and equal ones far below zero.
TEST_P(Attention, LargeLogitsStayFinite) {
  for (size_t length : {31, 1031}) {
    for (float scale : {100.0f, 1e6f, 1e30f}) {
      const Case c({length, 16}, {}, scale);
      const auto out = c.flash();
      for (float x : out) {
        ASSERT_TRUE(std::isfinite(x));
        ASSERT_LE(std::abs(x), 1.0f + 1e-5f);  // a mean of values in [-1, 1]
      }
      // The logit's own rounding grows with the scale; beyond, ties make the comparison meaningless.
      if (scale == 100.0f) expect_near(out, c.naive(), 2 * 8 * kUnit * 100.0 * 16);
    }
  }
}

TEST_P(Attention, NotANumberStaysInItsRow) { test::expect_nan_in_its_row(false); }

TEST_P(Attention, ScratchGrowsWithTheLongestSequence) {
  for (size_t head_dim : {1, 24, 64}) {
    size_t last = 0;
    for (size_t length = 1; length < 3000; length += 7) {
      const size_t floats = flash_attention_scratch(length, head_dim);
      EXPECT_GE(floats, last) << "what holds a longer sequence must hold this one: " << length;
      last = floats;
    }
  }
}

}  // namespace
}  // namespace wde::kernels
