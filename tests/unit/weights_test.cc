#include "loader/weights.h"

#include <bit>
#include <cmath>
#include <cstring>

#include <gtest/gtest.h>

#include "loader_files.h"
#include "test_paths.h"

namespace wde {
namespace {

using test::expect_contains;
using test::load_error;
using test::safetensors;
using test::TempDirectory;

// A file of F32 tensors of one element each, whose values count up from `first`.
std::string file_of(std::initializer_list<std::string_view> names, float first = 0) {
  std::string header = "{", data;
  for (const std::string_view name : names) {
    header += (data.empty() ? "\"" : ",\"") + std::string(name) +
              "\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[" + std::to_string(data.size()) + "," +
              std::to_string(data.size() + 4) + "]}";
    data.append(reinterpret_cast<const char*>(&first), 4);
    first += 1;
  }
  return safetensors(header + "}", data);
}

std::string open_error(const TempDirectory& directory) {
  return load_error([&] { (void)Weights::open(directory.path()); });
}

float value_of(const TensorView& tensor) {
  float value = 0;
  to_float32(tensor, 0, 1, &value);
  return value;
}

TEST(Weights, SingleFile) {
  const TempDirectory directory;
  const std::string file = directory.write(
      "model.safetensors",
      safetensors(
          R"({"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"i":{"dtype":"I64","shape":[1],"data_offsets":[24,32]},
                                                                               "f8":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[32,33]}})",
          std::string(33, '\0')));
  Weights weights = Weights::open(directory.path());
  EXPECT_EQ(weights.bytes(), 33u);
  EXPECT_TRUE(weights.has("w"));
  EXPECT_FALSE(weights.has("v"));
  expect_contains(load_error([&] {
                    (void)weights.get("w", {3, 2});
                  }),
                  {file, "\"w\"", "expected shape [3, 2], found [2, 3]"});
  expect_contains(load_error([&] {
                    (void)weights.get("v", {384, 1536});
                  }),
                  {file, "\"v\" of shape [384, 1536]", "found none"});
  expect_contains(load_error([&] { (void)weights.get("i", {1}); }), {"expected F32, F16 or BF16, found I64"});
  expect_contains(load_error([&] { (void)weights.get("f8", {1}); }), {"found \"F8_E4M3\""});
  expect_contains(load_error([&] { (void)weights.numbers("f8", 1); }), {"F64", "found \"F8_E4M3\""});
  EXPECT_EQ(weights.unused().size(), 3u);  // a failed get takes nothing
  EXPECT_EQ(weights.get("w", {2, 3}).elements(), 6u);
  weights.ignore("f");
  EXPECT_EQ(weights.unused(), std::vector<std::string>{"i"});
}

TEST(Weights, NumbersOfAnyType) {
  const TempDirectory directory;
  std::string data(36, '\0');
  const double half = 0.5;
  const int64_t large = int64_t{1} << 40;
  const int32_t negative = -3;
  const float third = 0.25f;
  std::memcpy(data.data(), &half, 8);
  std::memcpy(data.data() + 8, &large, 8);
  std::memcpy(data.data() + 16, &negative, 4);
  std::memcpy(data.data() + 20, &third, 4);
  directory.write("model.safetensors", safetensors(R"({"d":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},
                                  "l":{"dtype":"I64","shape":[1],"data_offsets":[8,16]},
                                  "i":{"dtype":"I32","shape":[1],"data_offsets":[16,20]},
                                  "f":{"dtype":"F32","shape":[4],"data_offsets":[20,36]}})",
                                                   data));
  Weights weights = Weights::open(directory.path());
  EXPECT_EQ(weights.numbers("d", 1), std::vector<double>{0.5});
  EXPECT_EQ(weights.numbers("l", 1), std::vector<double>{0x1p40});
  EXPECT_EQ(weights.numbers("i", 1), std::vector<double>{-3});
  EXPECT_EQ(weights.numbers("f", 4), (std::vector<double>{0.25, 0, 0, 0}));
  EXPECT_TRUE(weights.unused().empty());
  expect_contains(load_error([&] { (void)weights.numbers("f", 3); }), {"expected shape [3], found [4]"});
}

TEST(Weights, PrefixAndHeadsBesideIt) {
  const TempDirectory directory;
  directory.write("model.safetensors",
                  file_of({"bert.embeddings.weight", "bert.pooler.dense.weight", "classifier.weight"}));
  Weights weights = Weights::open(directory.path());
  weights.choose_prefix({"", "bert."}, "embeddings.weight");
  EXPECT_EQ(weights.prefix(), "bert.");
  EXPECT_EQ(value_of(weights.get("embeddings.weight", {1})), 0);
  EXPECT_EQ(value_of(weights.get("classifier.weight", {1})), 2);
  EXPECT_EQ(weights.unused(), std::vector<std::string>{"bert.pooler.dense.weight"});
  weights.ignore("pooler.");
  EXPECT_TRUE(weights.unused().empty());
  expect_contains(load_error([&] { (void)weights.get("encoder.weight", {1}); }), {"\"bert.encoder.weight\""});
  expect_contains(load_error([&] {
                    weights.choose_prefix({"", "roberta."}, "embeddings.weight");
                  }),
                  {directory.path(), "\"embeddings.weight\", \"roberta.embeddings.weight\"", "\"classifier.weight\""});
}

TEST(Weights, IgnoreByWholeName) {
  const TempDirectory directory;
  directory.write("model.safetensors", file_of({"bert.x", "bert.pooler.a", "cls.b"}));
  Weights weights = Weights::open(directory.path());
  weights.choose_prefix({"bert."}, "x");
  weights.ignore("bert.pooler");
  weights.ignore("cls.");
  weights.ignore("x");
  EXPECT_TRUE(weights.unused().empty());
}

TEST(Weights, OldLayerNormNames) {
  const TempDirectory directory;
  directory.write("model.safetensors",
                  file_of({"bert.LayerNorm.gamma", "bert.LayerNorm.beta", "bert.new.weight", "bert.new.gamma"}));
  Weights weights = Weights::open(directory.path());
  weights.choose_prefix({"", "bert."}, "new.weight");
  EXPECT_TRUE(weights.has("LayerNorm.weight"));
  EXPECT_EQ(value_of(weights.get("LayerNorm.weight", {1})), 0);
  EXPECT_EQ(value_of(weights.get("LayerNorm.bias", {1})), 1);
  EXPECT_EQ(value_of(weights.get("new.weight", {1})), 2);  // the present name comes first
  EXPECT_FALSE(weights.has("new.bias"));
  EXPECT_FALSE(weights.has("weight"));
  EXPECT_FALSE(weights.has(""));
  EXPECT_EQ(weights.unused(), std::vector<std::string>{"bert.new.gamma"});
}

TEST(Weights, Shards) {
  const TempDirectory directory;
  directory.write("model-00001-of-00002.safetensors", file_of({"a", "b"}));
  directory.write("model-00002-of-00002.safetensors", file_of({"c"}, 7));
  directory.write("model.safetensors.index.json",
                  R"({"metadata": {"total_size": 12}, "weight_map": {"a": "model-00001-of-00002.safetensors",
      "b": "model-00001-of-00002.safetensors", "c": "model-00002-of-00002.safetensors"}})");
  Weights weights = Weights::open(directory.path());
  EXPECT_EQ(weights.bytes(), 12u);
  EXPECT_EQ(value_of(weights.get("c", {1})), 7);
  EXPECT_EQ(value_of(weights.get("b", {1})), 1);
  expect_contains(load_error([&] { (void)weights.get("c", {2}); }),
                  {"model-00002-of-00002.safetensors", "expected shape [2], found [1]"});
  expect_contains(load_error([&] { (void)weights.get("d", {2}); }), {directory.path(), "\"d\""});
}

TEST(Weights, WrongShards) {
  const TempDirectory directory;
  directory.write("1.safetensors", file_of({"a"}));
  directory.write("2.safetensors", file_of({"a", "b"}));
  const auto index = [&](std::string_view weight_map) {
    directory.write("model.safetensors.index.json", "{\"weight_map\": " + std::string(weight_map) + "}");
    return open_error(directory);
  };
  expect_contains(index(R"({"a": "3.safetensors"})"), {"expected the shard \"3.safetensors\"",
                                                       "found of weight files \"1.safetensors\", \"2.safetensors\""});
  expect_contains(index(R"({"b": "1.safetensors"})"), {"expected tensor \"b\"", "1.safetensors", "found it nowhere"});
  expect_contains(index(R"({"a": "1.safetensors", "b": "2.safetensors"})"),
                  {"in one shard only", "\"a\"", "1.safetensors", "2.safetensors"});
  for (const char* name : {"../1.safetensors", "/etc/passwd", "sub/1.safetensors", "..", "", "1.onnx", "/x.safetensors",
                           "a\\u0000.safetensors"}) {
    expect_contains(index("{\"a\": \"" + std::string(name) + "\"}"), {"same directory, found \""});
  }
  expect_contains(index("[]"), {"\"weight_map\" must be an object"});
  expect_contains(index(R"({"a": 1})"), {"\"weight_map.a\" must be a string"});
}

TEST(Weights, NoWeights) {
  const TempDirectory directory;
  expect_contains(open_error(directory),
                  {directory.path(), "expected model.safetensors or model.safetensors.index.json",
                   "found of weight files nothing"});
  directory.write("model.onnx", "");
  expect_contains(open_error(directory), {"found of weight files \"model.onnx\""});
  directory.write("pytorch_model.bin", "");  // read, and found to be nothing of torch.save's
  expect_contains(open_error(directory), {"pytorch_model.bin"});
  expect_contains(load_error([&] { (void)Weights::open(directory.path("none")); }), {"found of weight files nothing"});
}

TensorView view_of(Dtype dtype, const void* data, size_t elements) {
  TensorView view;
  view.dtype = dtype;
  view.shape = {elements};
  view.data = static_cast<const std::byte*>(data);
  view.bytes = elements * dtype_size(dtype);
  return view;
}

// All patterns against arithmetic from the format's definition.
TEST(ToFloat32, EveryHalf) {
  std::vector<uint16_t> halves(65536);
  for (size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<uint16_t>(i);
  std::vector<float> out(halves.size());
  to_float32(view_of(Dtype::kF16, halves.data(), halves.size()), 0, halves.size(), out.data());
  for (uint32_t i = 0; i < halves.size(); ++i) {
    const uint32_t exponent = i >> 10 & 31, mantissa = i & 1023;
    const double sign = (i & 0x8000) != 0 ? -1 : 1;
    EXPECT_EQ(std::signbit(out[i]), sign < 0) << i;
    if (exponent == 31 && mantissa != 0) {
      EXPECT_TRUE(std::isnan(out[i])) << i;
    } else if (exponent == 31) {
      EXPECT_TRUE(std::isinf(out[i])) << i;
    } else {
      const double magnitude =
          exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, static_cast<int>(exponent) - 25);
      EXPECT_EQ(out[i], sign * magnitude) << i;
    }
  }
}

TEST(ToFloat32, EveryBfloat) {
  std::vector<uint16_t> values(65536);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<uint16_t>(i);
  std::vector<float> out(values.size());
  to_float32(view_of(Dtype::kBF16, values.data(), values.size()), 0, values.size(), out.data());
  for (uint32_t i = 0; i < values.size(); ++i) EXPECT_EQ(std::bit_cast<uint32_t>(out[i]), i << 16);
}

TEST(ToFloat32, UnalignedPartsWriteOnlyTheirOwn) {
  constexpr size_t kElements = 100;
  for (const Dtype dtype : {Dtype::kF32, Dtype::kF16, Dtype::kBF16}) {
    const size_t size = dtype_size(dtype);
    std::vector<std::byte> bytes(kElements * size + 1);
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 7 % 61);
    const TensorView view = view_of(dtype, bytes.data() + 1, kElements);
    std::vector<float> whole(kElements);
    to_float32(view, 0, kElements, whole.data());
    for (size_t begin = 0; begin < kElements; begin += 13) {
      for (size_t count = 0; begin + count <= kElements; ++count) {
        std::vector<float> part(count + 1, -1.0F);
        to_float32(view, begin, count, part.data());
        EXPECT_EQ(std::memcmp(part.data(), whole.data() + begin, 4 * count), 0);
        EXPECT_EQ(part[count], -1.0F);
      }
    }
  }
  float out = 0;
  to_float32(view_of(Dtype::kI32, "abcd", 1), 0, 1, &out);
  EXPECT_TRUE(std::isnan(out));
}

TEST(Weights, GoldenCheckpoints) {
  const std::string data = test::kData;
  Weights bert = Weights::open(data + "/bert-mean");
  bert.choose_prefix({"", "bert."}, "embeddings.word_embeddings.weight");
  EXPECT_EQ(bert.prefix(), "");
  EXPECT_EQ(bert.get("embeddings.LayerNorm.weight", {48}).elements(), 48u);
  Weights dense = Weights::open(data + "/bert-max-dense/2_Dense");
  (void)dense.get("linear.weight", {40, 48});
  (void)dense.get("linear.bias", {40});
  EXPECT_TRUE(dense.unused().empty());
}

}  // namespace
}  // namespace wde
