#include "loader/safetensors.h"

#include <cstring>
#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

#include "loader_files.h"
#include "test_paths.h"

namespace wde {
namespace {

using test::expect_contains;
using test::load_error;
using test::safetensors;
using test::TempDirectory;

auto parse(std::string_view header, size_t data_bytes) {
  return parse_safetensors_header(header, data_bytes, "model.safetensors");
}
std::string parse_error(std::string_view header, size_t data_bytes = 0) {
  return load_error([&] { (void)parse(header, data_bytes); });
}

TEST(SafetensorsHeader, ReadsTensors) {
  const auto tensors =
      parse(R"({"__metadata__": {"format": "pt"}, "b": {"shape": [2, 3], "data_offsets": [8, 20], "dtype": "F16"},
                                 "a": {"dtype": "I64", "shape": [], "data_offsets": [0, 8]}}    )",
            20);
  ASSERT_EQ(tensors.size(), 2u);
  const TensorView& a = tensors.at("a");
  const TensorView& b = tensors.at("b");
  EXPECT_EQ(a.dtype, Dtype::kI64);
  EXPECT_TRUE(a.shape.empty());
  EXPECT_EQ(a.elements(), 1u);
  EXPECT_EQ(b.name, "b");
  EXPECT_EQ(b.shape, (std::vector<size_t>{2, 3}));
  EXPECT_EQ(b.bytes, 12u);
  EXPECT_EQ(b.elements(), 6u);
  EXPECT_EQ(a.offset, 0u);
  EXPECT_EQ(b.offset, 8u);
}

TEST(SafetensorsHeader, EveryDtype) {
  for (const auto& [name, bytes] : {std::pair("F32", 4),
                                    {"F16", 2},
                                    {"BF16", 2},
                                    {"F64", 8},
                                    {"I64", 8},
                                    {"I32", 4},
                                    {"I16", 2},
                                    {"I8", 1},
                                    {"U8", 1},
                                    {"BOOL", 1}}) {
    const auto tensors = parse("{\"t\":{\"dtype\":\"" + std::string(name) + "\",\"shape\":[3],\"data_offsets\":[0," +
                                   std::to_string(3 * bytes) + "]}}",
                               3 * bytes);
    EXPECT_EQ(dtype_name(tensors.at("t").dtype), name);
    EXPECT_EQ(dtype_size(tensors.at("t").dtype), static_cast<size_t>(bytes));
    EXPECT_EQ(tensors.at("t").elements(), 3u);
  }
}

TEST(SafetensorsHeader, OtherDtypesMayLieInTheFile) {
  const auto tensors = parse(
      R"({"f8": {"dtype": "F8_E4M3", "shape": [3], "data_offsets": [0, 3]}, "f4": {"dtype": "F4", "shape": [4], "data_offsets": [3, 5]},
                                 "new": {"dtype": "Q3_X", "shape": [7], "data_offsets": [5, 9]}})",
      9);
  EXPECT_EQ(tensors.at("f8").dtype, Dtype::kOther);
  EXPECT_EQ(tensors.at("f8").other_dtype, "F8_E4M3");
  EXPECT_EQ(tensors.at("f8").elements(), 0u);
  EXPECT_EQ(tensors.at("new").bytes, 4u);
  expect_contains(parse_error(R"({"t": {"dtype": "F8_E5M2", "shape": [3], "data_offsets": [0, 4]}})", 4),
                  {"F8_E5M2 of shape [3] needs 3 bytes"});
  expect_contains(parse_error(R"({"t": {"dtype": "F4", "shape": [3], "data_offsets": [0, 2]}})", 2),
                  {"3 elements of 4 bits"});
  expect_contains(parse_error(R"({"t": {"dtype": "Q3", "shape": [3], "data_offsets": [1, 2]}})", 2),
                  {"there is a gap"});
}

TEST(SafetensorsHeader, EmptyTensorsAndEmptyFiles) {
  EXPECT_TRUE(parse("{}", 0).empty());
  EXPECT_TRUE(parse("{}  ", 0).empty());
  const auto tensors = parse(
      R"({"a": {"dtype": "F32", "shape": [0, 5], "data_offsets": [0, 0]}, "b": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
                                 "c": {"dtype": "F32", "shape": [5, 0], "data_offsets": [4, 4]}})",
      4);
  EXPECT_EQ(tensors.size(), 3u);
  EXPECT_EQ(tensors.at("a").elements(), 0u);
}

TEST(SafetensorsHeader, Duplicates) {
  expect_contains(
      parse_error(
          R"({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}, "a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}})",
          1),
      {"model.safetensors", "the name \"a\" is given twice"});
  expect_contains(parse_error(R"({"a": {"dtype": "U8", "dtype": "U8", "shape": [1], "data_offsets": [0, 1]}})", 1),
                  {"dtype is given twice"});
  expect_contains(parse_error(R"({"__metadata__": {}, "__metadata__": {}})"), {"given twice"});
}

TEST(SafetensorsHeader, Places) {
  expect_contains(parse_error(R"({"a": {"dtype": "U8", "shape": [4], "data_offsets": [1, 5]}})", 5),
                  {"begin at byte 0", "found 1", "gap"});
  expect_contains(
      parse_error(
          R"({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}, "b": {"dtype": "U8", "shape": [2], "data_offsets": [3, 5]}})",
          5),
      {"\"b\"", "overlap"});
  expect_contains(parse_error(R"({"a": {"dtype": "U8", "shape": [4], "data_offsets": [4, 0]}})", 4), {"ascend"});
  expect_contains(parse_error(R"({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 12]}})", 12),
                  {"F32 of shape [4] needs 16 bytes", "hold 12"});
  expect_contains(parse_error(R"({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}})", 3),
                  {"expected 4 bytes", "found 3", "cut off"});
  expect_contains(parse_error(R"({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}})", 5),
                  {"expected 4 bytes", "found 5"});
  expect_contains(
      parse_error(
          R"({"a": {"dtype": "U8", "shape": [18446744073709551615], "data_offsets": [0, 18446744073709551615]}})", 4),
      {"overflows"});
}

TEST(SafetensorsHeader, OverflowingShapes) {
  expect_contains(parse_error(R"({"a": {"dtype": "F32", "shape": [4294967296, 4294967296], "data_offsets": [0, 0]}})"),
                  {"overflows 64 bits"});
  expect_contains(
      parse_error(R"({"a": {"dtype": "F32", "shape": [0, 4294967296, 4294967296], "data_offsets": [0, 0]}})"),
      {"overflows 64 bits"});
  expect_contains(parse_error(R"({"a": {"dtype": "F64", "shape": [2305843009213693952], "data_offsets": [0, 0]}})"),
                  {"overflows 64 bits"});
  expect_contains(parse_error(R"({"a": {"dtype": "U8", "shape": [18446744073709551616], "data_offsets": [0, 0]}})"),
                  {"expected a list of integers"});
  std::string shape = "1";
  for (int i = 0; i < 64; ++i) shape += ",1";
  expect_contains(parse_error("{\"a\":{\"dtype\":\"U8\",\"shape\":[" + shape + "],\"data_offsets\":[0,1]}}", 1),
                  {"at most 64 dimensions"});
}

TEST(SafetensorsHeader, WrongJson) {
  expect_contains(parse_error(""), {"expected JSON that starts with '{', found nothing"});
  expect_contains(parse_error(" {}"), {"expected JSON that starts with '{'"});
  expect_contains(parse_error("[]"), {"starts with '{'"});
  expect_contains(parse_error("{\"a\": }"), {"header", "line 1, column 7"});
  expect_contains(parse_error("{} x"), {"not valid JSON"});
  expect_contains(parse_error(std::string_view("{}\0x", 4)), {"a zero byte"});
  expect_contains(parse_error("{\"a\": {\"dtype\": \"\xff\"}}"), {"not valid JSON"});
  for (const char* entry : {"null", "1", "\"x\"", "[]", "true", "-1", "1.5"}) {
    expect_contains(parse_error("{\"a\": " + std::string(entry) + "}"), {"tensor \"a\": expected an object"});
    expect_contains(parse_error("{\"__metadata__\": " + std::string(entry) + "}"),
                    {"__metadata__: expected an object"});
  }
  for (const char* value : {"null", "1", "{}", "[]", "true"}) {
    expect_contains(parse_error("{\"__metadata__\": {\"k\": " + std::string(value) + "}}"),
                    {"__metadata__: expected strings"});
    expect_contains(parse_error("{\"a\": {\"dtype\": " + std::string(value) + "}}"), {"dtype: expected a string"});
  }
  for (const char* shape : {"null", "1", "{}", "\"x\"", "[-1]", "[1.0]", "[[1]]", "[null]", "[{}]", "[\"1\"]"}) {
    expect_contains(parse_error("{\"a\": {\"shape\": " + std::string(shape) + "}}"),
                    {"shape: expected a list of integers"});
  }
  for (const char* offsets : {"[]", "[1]", "[0, 1, 2]"}) {
    expect_contains(parse_error("{\"a\": {\"data_offsets\": " + std::string(offsets) + "}}"),
                    {"expected two data_offsets"});
  }
  expect_contains(parse_error(R"({"a": {}})"), {"found no dtype"});
  expect_contains(parse_error(R"({"a": {"dtype": "U8", "shape": [1]}})"), {"found no data_offsets"});
  expect_contains(parse_error(R"({"a": {"offset": 1}})"), {"found the key \"offset\""});
  expect_contains(parse_error("{\"a\":" + std::string(1'000'000, '[')), {"found a list"});
}

TEST(SafetensorsFileTest, RoundTrip) {
  const TempDirectory directory;
  const std::string file =
      directory.write("model.safetensors", safetensors(R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
                                                       std::string("\0\0\200\77\0\0\0\300", 8)));
  const SafetensorsFile opened(file);
  const TensorView& x = opened.tensors().at("x");
  float values[2];
  read_bytes(x, 0, sizeof(values), reinterpret_cast<std::byte*>(values));
  EXPECT_EQ(values[0], 1.0F);
  EXPECT_EQ(values[1], -2.0F);
  EXPECT_EQ(opened.file().name(), file);
}

TEST(SafetensorsFileTest, WrongFiles) {
  const TempDirectory directory;
  const auto open_error = [&](std::string_view content) {
    const std::string file = directory.write("model.safetensors", content);
    const std::string message = load_error([&] { const SafetensorsFile opened(file); });
    expect_contains(message, {file});
    return message;
  };
  expect_contains(open_error(""), {"found an empty file"});
  expect_contains(open_error("abc"), {"8 bytes", "found 3 bytes"});
  expect_contains(open_error("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
                  {"this is a git-lfs pointer, the weights were not downloaded"});
  expect_contains(open_error("<!DOCTYPE html><html>"), {"at most 100000000 bytes", "not a safetensors file?"});
  expect_contains(open_error(safetensors("{}", "", 3)), {"expected a header of 3 bytes, found 2 bytes", "cut off"});
  expect_contains(open_error(safetensors("", "", 0)), {"found nothing"});
  expect_contains(open_error(safetensors("{}", "x")), {"expected 0 bytes of tensors behind the header, found 1"});
  expect_contains(open_error(safetensors("{}", "", UINT64_MAX)), {"18446744073709551615"});
  expect_contains(load_error([&] { const SafetensorsFile opened(directory.path()); }),
                  {"expected a regular file, found a directory"});
  expect_contains(load_error([&] { const SafetensorsFile opened(directory.path("none")); }), {"No such file"});
}

TEST(SafetensorsFileTest, EveryTruncationIsRefused) {
  const TempDirectory directory;
  const std::string whole = safetensors(R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", "12345678");
  for (size_t bytes = 0; bytes < whole.size(); ++bytes) {
    const std::string file = directory.write("cut.safetensors", std::string_view(whole).substr(0, bytes));
    EXPECT_THROW(SafetensorsFile{file}, LoadError) << bytes;
  }
}

TEST(SafetensorsFileTest, ThatIsCutOffOrWrittenOverAfterwards) {
  const TempDirectory directory;
  const std::string header = R"({"x":{"dtype":"U8","shape":[20000],"data_offsets":[0,20000]}})";
  const std::string file = directory.write("m.safetensors", safetensors(header, std::string(20000, 'x')));
  const SafetensorsFile opened(file);
  const TensorView& x = opened.tensors().at("x");
  std::vector<std::byte> bytes(20000);
  read_bytes(x, 0, bytes.size(), bytes.data());
  EXPECT_EQ(bytes[19999], std::byte{'x'});
  opened.file().require_unchanged();
  ::usleep(20'000);  // a tick of the file system's clock
  directory.write("m.safetensors", safetensors(header, std::string(20000, 'y')));
  expect_contains(load_error([&] { opened.file().require_unchanged(); }), {file, "written to after it was opened"});
  ASSERT_EQ(::truncate(file.c_str(), 5000), 0);
  expect_contains(load_error([&] { read_bytes(x, 0, bytes.size(), bytes.data()); }), {file, "cut off at byte 5000"});
}

TEST(SafetensorsFileTest, GoldenCheckpoint) {
  const SafetensorsFile opened(std::string(test::kData) + "/bert-mean/model.safetensors");
  EXPECT_EQ(opened.tensors().size(), 39u);
  EXPECT_EQ(opened.tensors().at("embeddings.LayerNorm.bias").shape, std::vector<size_t>{48});
}

}  // namespace
}  // namespace wde
