// flash_attention with its products in bfloat16, against naive_attention on the same rounded numbers.
#include "kernels/attention_case.h"
#include "kernels/every_pairs_target.h"

namespace wde::kernels {
namespace {

using test::Case;
using test::expect_near;
using test::Mask;
using test::Random;

class Bf16Attention : public test::EveryPairsTarget {};
WDE_FOR_EVERY_TARGET(Bf16Attention);

void compare(const test::Shape& shape, const Mask& mask = {}) { test::compare(shape, mask, true); }

TEST_P(Bf16Attention, HeadDimensionsAndGroups) {
  for (size_t head_dim : {1, 2, 3, 12, 16, 17, 24, 31, 32, 33, 48, 64, 80, 128}) {
    for (size_t length : {1, 2, 15, 16, 17, 61, 113}) compare({length, head_dim});
    compare({37, head_dim, 6, 2});
  }
}

TEST_P(Bf16Attention, Lengths) {
  for (size_t length : {1, 2, 3, 5, 7, 13, 14, 29, 47, 48, 49, 55, 56, 57, 127, 251, 513, 1023, 1024, 1025, 1031}) {
    if (test::too_slow_for(GetParam(), length)) continue;
    compare({length, 16});
    compare({length, 12}, {.causal = true});
  }
  if (test::too_slow_for(GetParam(), 2049)) return;
  compare({1031, 64});
  compare({2049, 24, 2, 1});
  compare({2049, 32}, {.causal = true});
}

// Rows whose keys begin and end at odd places, in the middle of a pair.
TEST_P(Bf16Attention, Windows) {
  for (int64_t left : {kNoWindow, int64_t{0}, int64_t{1}, int64_t{2}, int64_t{7}, int64_t{64}}) {
    for (int64_t right : {kNoWindow, int64_t{0}, int64_t{1}, int64_t{3}, int64_t{64}}) {
      for (bool causal : {false, true}) {
        for (size_t length : {1, 2, 17, 58, 131}) compare({length, 16}, {causal, left, right});
        if (!test::too_slow_for(GetParam(), 1031)) compare({1031, 12}, {causal, left, right});
      }
    }
  }
  if (test::too_slow_for(GetParam(), 2049)) return;
  compare({2049, 16}, {false, 600, 601});
  compare({2049, 16}, {true, 701, kNoWindow});
}

TEST_P(Bf16Attention, SingleRowsAreBitEqualToTheWhole) {
  for (size_t length : {1, 2, 57, 131, 1024, 1031, 2049}) {
    if (test::too_slow_for(GetParam(), length)) continue;
    for (const Mask& mask : {Mask{}, {true}, {false, 5, 5}, {false, 300, 201}, {true, 600, kNoWindow}, {false, 0, 0}}) {
      SCOPED_TRACE("length " + std::to_string(length) + ", window " + std::to_string(mask.left));
      const Case c({length, 24, 2, 1}, mask, 0, true);
      const auto all = c.flash();
      const auto last = static_cast<int32_t>(length - 1);
      for (int32_t position : {0, last / 3, last / 2, last}) {
        EXPECT_EQ(c.flash({position}), c.rows_of(all, {position})) << "row " << position;
      }
    }
  }
}

// What is rounded is rounded to the nearest: numbers between two of bfloat16's come out as to_bf16() has them.
TEST_P(Bf16Attention, RoundsQueriesKeysAndValues) {
  for (size_t length : {1, 40}) {
    Case exact({length, 20}), rounded({length, 20}, {}, 0, true);
    exact.args.bf16 = true;
    EXPECT_EQ(exact.flash(), rounded.flash());
  }
}

// Of a mask that adds to the logits, and of logits that a float32 holds and nothing smaller would.
TEST_P(Bf16Attention, LogitsStayFloat32) {
  for (size_t length : {31, 1031}) {
    if (test::too_slow_for(GetParam(), length)) continue;
    Case c({length, 16, 2, 2}, {}, 0, true);
    const auto bias = Random(7).floats(2 * (2 * length - 1), 3.0f), slopes = std::vector<float>{0.5f, 0.0625f};
    c.args.relative_span = length;
    c.args.relative_bias = bias.data();
    c.args.alibi_slopes = slopes.data();
    c.args.soft_cap = 5;
    expect_near(c.flash(), c.naive(), c.tolerance());
  }
}

TEST_P(Bf16Attention, NotANumberStaysInItsRow) { test::expect_nan_in_its_row(true); }

}  // namespace
}  // namespace wde::kernels
