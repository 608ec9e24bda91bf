#include "loader/weight_format.h"

#include <gtest/gtest.h>

#include "wde/result.h"

namespace wde {
namespace {

TEST(WeightPolicy, FormatOfATensor) {
  const WeightPolicy all(WeightFormat::kInt8, "");
  EXPECT_EQ(all.format_of("encoder.layer.0.output.dense.weight"), WeightFormat::kInt8);
  EXPECT_EQ(all.format_of("encoder.embedding_hidden_mapping_in.weight"), WeightFormat::kFloat32);
  EXPECT_EQ(WeightPolicy().format_of("encoder.layer.0.output.dense.weight"), WeightFormat::kFloat32);

  const WeightPolicy some(WeightFormat::kInt8, "1,11,attention.self");
  EXPECT_EQ(some.format_of("encoder.layer.1.output.dense.weight"), WeightFormat::kFloat32);
  EXPECT_EQ(some.format_of("encoder.layer.11.output.dense.weight"), WeightFormat::kFloat32);
  EXPECT_EQ(some.format_of("encoder.layer.10.output.dense.weight"), WeightFormat::kInt8);
  EXPECT_EQ(some.format_of("encoder.layer.2.attention.self.query.weight"), WeightFormat::kFloat32);
  // The first number is the layer's.
  EXPECT_EQ(some.format_of("layers.2.experts.1.up.weight"), WeightFormat::kInt8);
  EXPECT_EQ(some.format_of("norm.weight"), WeightFormat::kInt8);
  EXPECT_EQ(some.float32_names().size(), 3u);
}

TEST(WeightPolicy, EmptyEntriesAreRefused) {
  EXPECT_THROW(WeightPolicy(WeightFormat::kInt8, ",1"), UsageError);
  EXPECT_THROW(WeightPolicy(WeightFormat::kInt8, "1,,2"), UsageError);
}

TEST(WeightPolicy, Names) {
  for (WeightFormat format : {WeightFormat::kFloat32, WeightFormat::kBfloat16, WeightFormat::kInt8})
    EXPECT_EQ(weight_format_from_name(weight_format_name(format)), format);
}

TEST(WeightPolicy, Equality) {
  EXPECT_EQ(WeightPolicy(WeightFormat::kInt8, "1"), WeightPolicy(WeightFormat::kInt8, "1"));
  EXPECT_NE(WeightPolicy(WeightFormat::kInt8, "1"), WeightPolicy(WeightFormat::kInt8, "2"));
  EXPECT_NE(WeightPolicy(WeightFormat::kInt8, ""), WeightPolicy());
}

}  // namespace
}  // namespace wde
