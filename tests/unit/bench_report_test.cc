#include "cli/bench_report.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace wde::cli {
namespace {

TEST(BenchReport, MedianAndPercentile) {
  EXPECT_EQ(median({}), 0);
  EXPECT_EQ(median({3, 1, 2}), 2);
  EXPECT_EQ(median({4, 1, 2, 3}), 2.5);
  std::vector<double> hundred;
  for (int i = 100; i > 0; --i) hundred.push_back(i);
  EXPECT_EQ(percentile(hundred, 0.5), 50);
  EXPECT_EQ(percentile(hundred, 0.99), 99);
  EXPECT_EQ(percentile({7}, 0.99), 7);
  EXPECT_EQ(percentile({}, 0.5), 0);
}

TEST(BenchReport, CutsSinglesOfTwelveWords) {
  const std::vector<Request> texts = {{"a b c d e", {}}, {"  ", {}}, {"f\tg h i j k l m", {}}};
  const std::vector<Request> singles = single_requests(texts, 2);
  ASSERT_EQ(singles.size(), 2U);
  EXPECT_EQ(std::get<std::string>(singles[0].input), "a b c d e f g h i j k l");
  EXPECT_EQ(std::get<std::string>(singles[1].input), "m a b c d e f g h i j k");
  EXPECT_TRUE(single_requests({{" ", {}}}, 5).empty());
}

TEST(BenchReport, CutsTheDocumentOfAPair) {
  const std::vector<Request> singles = single_requests({{TextPair{"q", "x y"}, {}}}, 1);
  ASSERT_EQ(singles.size(), 1U);
  EXPECT_EQ(std::get<TextPair>(singles[0].input).query, "q");
  EXPECT_EQ(std::get<TextPair>(singles[0].input).document, "x y x y x y x y x y x y");
}

TEST(BenchReport, JsonHasTheMedians) {
  BenchReport report;
  report.texts = 10;
  report.tokens = 100;
  report.seconds = {4, 1, 2};
  report.single_seconds = {0.5};
  report.peak_rss_mb = 3;
  report.cost = {{16, 0.0005}, {128, 0.004}};
  report.cost_error = 0.0625;
  EXPECT_EQ(
      report.as_json(),
      "{\"texts\":10,\"tokens\":100,\"seconds\":[4.0,1.0,2.0],\"texts_per_second\":5.0,\"tokens_per_second\":50.0,"
      "\"single_p50_ms\":500.0,\"single_p99_ms\":500.0,\"load_seconds\":0.0,\"first_vector_seconds\":0.0,"
      "\"peak_rss_mb\":3.0,\"cost_ms\":{\"16\":0.5,\"128\":4.0},\"cost_error\":0.0625}\n");
  EXPECT_GT(peak_rss_mb(), 0.5);
}

TEST(BenchReport, TextHasTheCostModel) {
  BenchReport report;
  EXPECT_EQ(report.as_text().find("cost model"), std::string::npos);
  report.cost = {{16, 0.0005}, {128, 0.00412}};
  report.cost_error = 0.0625;
  EXPECT_NE(report.as_text().find("cost model     16 tokens 0.5 ms, 128 tokens 4.12 ms, of one worker; estimates of "
                                  "batches were off by 6 %\n"),
            std::string::npos)
      << report.as_text();
}

}  // namespace
}  // namespace wde::cli
