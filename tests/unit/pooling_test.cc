// Every pooling mode against its formula in double precision.
#include "output/pooling.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "stage/job.h"

namespace wde {
namespace {

// Reproducible numbers in [-1, 1]; the stride is wider than the rows.
struct Rows {
  Rows(size_t rows, size_t cols) : matrix(rows, cols, cols + 3) {
    uint32_t state = static_cast<uint32_t>(rows * 7919 + cols);
    for (size_t i = 0; i < rows * (cols + 3); ++i) {
      state = state * 1664525u + 1013904223u;
      matrix.view().data[i] = static_cast<float>(static_cast<int32_t>(state)) * 0x1p-31f;
    }
  }
  Matrix matrix;
};

std::vector<double> formula(Pooling mode, View<const float> x, size_t skip) {
  std::vector<double> out(x.cols, 0.0);
  if (skip >= x.rows) return out;
  const auto count = static_cast<double>(x.rows - skip);
  for (size_t c = 0; c < x.cols; ++c) {
    double sum = 0, weighted = 0, weights = 0, largest = -INFINITY;
    for (size_t r = skip; r < x.rows; ++r) {
      sum += x.row(r)[c];
      weighted += static_cast<double>(r + 1) * x.row(r)[c];
      weights += static_cast<double>(r + 1);
      largest = std::max(largest, static_cast<double>(x.row(r)[c]));
    }
    switch (mode) {
      case Pooling::kCls:
        out[c] = x.row(skip)[c];
        break;
      case Pooling::kLastToken:
        out[c] = x.row(x.rows - 1)[c];
        break;
      case Pooling::kMax:
        out[c] = largest;
        break;
      case Pooling::kMean:
        out[c] = sum / count;
        break;
      case Pooling::kMeanSqrtLen:
        out[c] = sum / std::sqrt(count);
        break;
      case Pooling::kWeightedMean:
        out[c] = weighted / weights;
        break;
    }
  }
  return out;
}

constexpr Pooling kModes[] = {Pooling::kCls,         Pooling::kMax,          Pooling::kMean,
                              Pooling::kMeanSqrtLen, Pooling::kWeightedMean, Pooling::kLastToken};

class PoolingModes : public ::testing::TestWithParam<Pooling> {};
INSTANTIATE_TEST_SUITE_P(Modes, PoolingModes, ::testing::ValuesIn(kModes),
                         [](const auto& test_info) { return std::string(pooling_name(test_info.param)); });

TEST_P(PoolingModes, MatchesItsFormula) {
  for (size_t rows : {1, 2, 3, 17, 128, 512}) {
    for (size_t cols : {1, 15, 16, 48, 65}) {
      for (size_t skip : {0, 1, 2, 16}) {
        const Rows x(rows, cols);
        std::vector<float> out(cols + 1, 123.0f);
        pool(GetParam(), x.matrix.view(), skip, out.data());
        const auto want = formula(GetParam(), x.matrix.view(), skip);
        // A running sum of `rows` numbers: an error of a unit of each partial sum; mean_sqrt_len's result grows with
        // the length.
        for (size_t c = 0; c < cols; ++c) {
          ASSERT_NEAR(out[c], want[c], 2e-6 * std::max(1.0, std::abs(want[c]))) << rows << " rows, skip " << skip;
        }
        ASSERT_EQ(out[cols], 123.0f) << "written behind the vector";
      }
    }
  }
}

TEST_P(PoolingModes, NothingLeftGivesZeros) {
  const Rows x(5, 16);
  for (size_t skip : {5, 6, 1000}) {
    std::vector<float> out(16, 3.0f);
    pool(GetParam(), x.matrix.view(), skip, out.data());
    EXPECT_EQ(out, std::vector<float>(16, 0.0f));
  }
}

// What pools one row alone asks for that row alone.
TEST(RowsFor, AsksForOneRowWhereOneIsEnough) {
  EXPECT_EQ(rows_for({{Pooling::kCls}, true}), RowsNeeded::kFirst);
  EXPECT_EQ(rows_for({{Pooling::kLastToken}, true}), RowsNeeded::kLast);
  EXPECT_EQ(rows_for({{Pooling::kMean}, true}), RowsNeeded::kAll);
  EXPECT_EQ(rows_for({{Pooling::kCls, Pooling::kMean}, true}), RowsNeeded::kAll);
  EXPECT_EQ(rows_for({{Pooling::kCls, Pooling::kLastToken}, true}), RowsNeeded::kAll);
  EXPECT_EQ(rows_for({{Pooling::kCls}, false}), RowsNeeded::kAll) << "the first row behind the prompt is not row 0";
}

}  // namespace
}  // namespace wde
