#include "cli/progress.h"

#include <gtest/gtest.h>

#include <string>

namespace wde::cli {
namespace {

TEST(Progress, FormatsCounts) {
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(1000), "1,000");
  EXPECT_EQ(format_count(1234567), "1,234,567");
}

TEST(Progress, FormatsRates) {
  EXPECT_EQ(format_rate(0), "0.00");
  EXPECT_EQ(format_rate(0.42), "0.42");
  EXPECT_EQ(format_rate(0.999), "1.0");
  EXPECT_EQ(format_rate(9.96), "10");
  EXPECT_EQ(format_rate(192.4), "192");
  EXPECT_EQ(format_rate(17331), "17,331");
  EXPECT_EQ(format_rate(1.0 / 0.0), "0");
}

TEST(Progress, FormatsTimes) {
  EXPECT_EQ(format_seconds(0.254), "0.25 s");
  EXPECT_EQ(format_seconds(5.2), "5.2 s");
  EXPECT_EQ(format_seconds(192), "3 min 12 s");
  EXPECT_EQ(format_seconds(7500), "2 h 05 min");
  EXPECT_EQ(format_clock(7), "0:07");
  EXPECT_EQ(format_clock(754), "12:34");
  EXPECT_EQ(format_clock(3723), "1:02:03");
}

TEST(Progress, FormatsTheBar) {
  EXPECT_EQ(format_progress({.texts = 100, .failed = 0, .tokens = 2000, .seconds = 10, .fraction = 0.25}, 200),
            "[#####---------------]  25%  100 texts  10 texts/s  200 tokens/s  0:30 left");
  EXPECT_EQ(format_progress({.texts = 1, .failed = 1, .tokens = 0, .seconds = 2, .fraction = {}}, 200),
            "1 text  0.50 texts/s  0.00 tokens/s  1 failed");
  EXPECT_EQ(format_progress({.texts = 5, .failed = 0, .tokens = 9, .seconds = 1, .fraction = 2.0}, 30).size(), 30U);
}

TEST(Progress, FormatsTheSummary) {
  EXPECT_EQ(format_summary({.texts = 1000, .failed = 0, .tokens = 90123, .seconds = 5.2, .fraction = {}}),
            "1,000 texts, 90,123 tokens in 5.2 s (192 texts/s)");
  EXPECT_EQ(format_summary({.texts = 1, .failed = 1, .tokens = 0, .seconds = 0.5, .fraction = {}}),
            "1 text, 0 tokens in 0.50 s (2.0 texts/s), 1 failed");
}

}  // namespace
}  // namespace wde::cli
