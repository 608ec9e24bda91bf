#include "loader/config.h"
#include "loader/rope_config.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <nlohmann/json.hpp>

#include "loader_files.h"
#include "test_paths.h"

namespace wde {
namespace {

using test::expect_contains;
using test::load_error;
using test::TempDirectory;

class ConfigTest : public testing::Test {
 protected:
  ConfigView read(std::string_view json) const { return ConfigView::read(directory_.write("config.json", json)); }
  std::string read_error(std::string_view json) const {
    return load_error([&] { (void)read(json); });
  }
  TempDirectory directory_;
};

TEST_F(ConfigTest, ReadsEachType) {
  const ConfigView config =
      read(R"({"size": 48, "eps": 1e-12, "causal": false, "act": "gelu", "names": ["A", "B"], "one": "C"})");
  EXPECT_EQ(config.integer("size", 1, 100), 48);
  EXPECT_DOUBLE_EQ(config.number("eps"), 1e-12);
  EXPECT_DOUBLE_EQ(config.number("size"), 48);
  EXPECT_FALSE(config.boolean("causal"));
  EXPECT_EQ(config.string("act"), "gelu");
  EXPECT_EQ(config.strings("names"), (std::vector<std::string>{"A", "B"}));
  EXPECT_EQ(config.strings("one"), std::vector<std::string>{"C"});
  EXPECT_EQ(config.keys().size(), 6u);
}

TEST_F(ConfigTest, FallbackForMissingAndNullOnly) {
  const ConfigView config = read(R"({"nothing": null, "text": "x"})");
  EXPECT_FALSE(config.has("nothing"));
  EXPECT_EQ(config.integer_or("nothing", 7, 0, 10), 7);
  EXPECT_EQ(config.integer_or("absent", 7, 0, 10), 7);
  EXPECT_EQ(config.number_or("absent", 0.5), 0.5);
  EXPECT_TRUE(config.boolean_or("nothing", true));
  EXPECT_EQ(config.string_or("absent", "y"), "y");
  EXPECT_THROW((void)config.integer_or("text", 7, 0, 10), LoadError);
  EXPECT_THROW((void)config.number_or("text", 7), LoadError);
  EXPECT_THROW((void)config.boolean_or("text", true), LoadError);
  EXPECT_FALSE(config.object_if_exists("nothing"));
  EXPECT_THROW((void)config.object_if_exists("text"), LoadError);
}

TEST_F(ConfigTest, ErrorsNameFileKeyExpectedAndFound) {
  const ConfigView config = read(R"({"size": "big", "null": null, "list": [1], "half": 1.5, "names": ["a", 2]})");
  expect_contains(
      load_error([&] { (void)config.integer("size", 1, 64); }),
      {directory_.path("config.json"), "\"size\" must be an integer from 1 to 64", "found the string \"big\""});
  expect_contains(load_error([&] { (void)config.integer("absent", 1, INT64_MAX); }),
                  {"an integer of at least 1", "found nothing"});
  expect_contains(load_error([&] { (void)config.string("null"); }), {"must be a string", "found null"});
  expect_contains(load_error([&] { (void)config.string("list"); }), {"found a list of 1"});
  expect_contains(load_error([&] { (void)config.integer("half", 0, 9); }), {"found 1.5"});
  expect_contains(load_error([&] { (void)config.strings("names"); }), {"names[1]", "found 2"});
}

TEST_F(ConfigTest, IntegersAtTheirLimits) {
  const ConfigView config = read(
      R"({"float": 512.0, "max": 9223372036854775807, "above": 9223372036854775808, "huge": 1000000000000000019884624838656,
          "min": -9223372036854775808, "bool": true})");
  EXPECT_EQ(config.integer("float", 0, 1000), 512);
  EXPECT_EQ(config.integer("max", 0, INT64_MAX), INT64_MAX);
  EXPECT_EQ(config.integer("min", INT64_MIN, 0), INT64_MIN);
  EXPECT_THROW((void)config.integer("above", 0, INT64_MAX), LoadError);
  EXPECT_THROW((void)config.integer("huge", 0, INT64_MAX), LoadError);
  EXPECT_THROW((void)config.integer("bool", 0, 9), LoadError);
  EXPECT_THROW((void)config.integer("float", 0, 511), LoadError);
  EXPECT_THROW((void)config.integer("float", 513, 600), LoadError);
  EXPECT_DOUBLE_EQ(config.number("huge"), 1e30);
}

TEST_F(ConfigTest, NotJson) {
  expect_contains(read_error("{\"a\": 1,\n \"b\": }"), {directory_.path("config.json"), "line 2, column 7"});
  expect_contains(read_error("{\"a\": NaN}"), {"line 1, column 7", "NaN and Infinity are not JSON numbers"});
  expect_contains(read_error("{\"a\": -Infinity}"), {"NaN and Infinity are not JSON numbers"});
  expect_contains(read_error("{\"a\": 1e999}"), {"not valid JSON"});
  expect_contains(read_error("{\"a\": \"\xff\"}"), {"not valid JSON"});
  expect_contains(read_error("{} {}"), {"line 1, column 4"});
  expect_contains(read_error("{\"a\": 1"), {"line 1"});
  expect_contains(read_error(""), {"found an empty file"});
  expect_contains(read_error("[1, 2, 3]"), {"expected a JSON object, found a list of 3"});
  expect_contains(read_error("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"),
                  {"git-lfs pointer"});
  // A zero byte must not hide what comes behind it.
  expect_contains(read_error(std::string_view("{}\0{}", 5)), {"a zero byte"});
}

TEST_F(ConfigTest, DepthAndSizeAreBounded) {
  EXPECT_NO_THROW((void)read("{\"a\":" + std::string(63, '[') + std::string(63, ']') + "}"));
  expect_contains(read_error("{\"a\":" + std::string(64, '[') + std::string(64, ']') + "}"), {"deeper than 64"});
  expect_contains(read_error("{\"a\":" + std::string(1'000'000, '[')), {"deeper than 64"});
  const std::string file = directory_.write("large.json", "{}");
  std::filesystem::resize_file(file, (size_t{64} << 20) + 1);
  expect_contains(load_error([&] { (void)ConfigView::read(file); }), {"67108864 bytes", "it has 67108865"});
}

TEST_F(ConfigTest, NoFile) {
  EXPECT_FALSE(ConfigView::read_if_exists(directory_.path("absent.json")));
  expect_contains(load_error([&] { (void)ConfigView::read(directory_.path("absent.json")); }),
                  {"absent.json", "No such file"});
  expect_contains(load_error([&] { (void)ConfigView::read(directory_.path()); }),
                  {"expected a regular file, found a directory"});
  // A link that leads nowhere is a broken download, not an absent file.
  std::filesystem::create_symlink("nowhere", directory_.path("link.json"));
  EXPECT_THROW((void)ConfigView::read_if_exists(directory_.path("link.json")), LoadError);
  ASSERT_EQ(::mkfifo(directory_.path("pipe").c_str(), 0600), 0);
  expect_contains(load_error([&] { (void)ConfigView::read(directory_.path("pipe")); }), {"found a pipe"});
}

TEST_F(ConfigTest, LastOfDuplicateKeysWins) {
  EXPECT_EQ(read(R"({"a": 1, "a": {"b": 3}, "a": 2})").integer("a", 0, 9), 2);
}

TEST_F(ConfigTest, NestedViewsKeepTheDocumentAndNameTheirPath) {
  const ConfigView inner = read(R"({"rope": {"deep": {"theta": "x"}}})").object("rope").object("deep");
  expect_contains(load_error([&] { (void)inner.number("theta"); }), {"\"rope.deep.theta\" must be a number"});
  expect_contains(load_error([&] { (void)inner.object("none"); }), {"must be an object, found nothing"});
}

TEST_F(ConfigTest, HostileTextIsMadeFitForMessages) {
  const std::string message =
      load_error([&] { (void)read("{\"a\": \"\\u001b[2J\\n" + std::string(5000, 'x') + "\"}").integer("a", 0, 1); });
  expect_contains(message, {"\\x1b[2J\\x0a", "..."});
  EXPECT_LT(message.size(), 600u);
}

TEST_F(ConfigTest, BothGenerationsOfTransformers) {
  const ConfigView now = read(
      R"({"dtype": "bfloat16", "rope_parameters": {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8, "low_freq_factor": 1,
                                  "high_freq_factor": 4}, "architectures": ["BertModel"],
                                  "model_type": "bert"})");
  EXPECT_EQ(config_dtype(now), "bfloat16");
  EXPECT_EQ(config_rope(now).type, "llama3");
  EXPECT_EQ(config_rope(now).theta, 5e5);
  EXPECT_EQ(config_architecture(now), "BertModel");
  EXPECT_EQ(config_model_type(now), "bert");
  const ConfigView before = read(
      R"({"torch_dtype": "torch.float16", "rope_theta": 160000, "rope_scaling": {"type": "linear", "factor": 2}})");
  EXPECT_EQ(config_dtype(before), "float16");
  EXPECT_EQ(config_rope(before).type, "linear");
  EXPECT_EQ(config_rope(before).theta, 160000);
  const ConfigView neither = read(R"({"rope_scaling": null, "architectures": null})");
  EXPECT_EQ(config_dtype(neither), "float32");
  EXPECT_EQ(config_rope(neither).type, "default");
  EXPECT_EQ(config_rope(neither).theta, 10000);
  EXPECT_EQ(config_architecture(neither), "");
  EXPECT_EQ(config_model_type(neither), "");
  EXPECT_EQ(config_architecture(read(R"({"architectures": []})")), "");
  EXPECT_THROW((void)config_rope(read(R"({"rope_theta": 0})")), LoadError);
  EXPECT_THROW((void)config_rope(read(R"({"rope_scaling": {"type": "linear"}})")), LoadError);
  EXPECT_THROW((void)config_rope(read(R"({"rope_scaling": {"type": "linear", "factor": 0}})")), LoadError);
  expect_contains(load_error([&] { (void)config_rope(read(R"({"rope_scaling": {"type": "spiral"}})")); }),
                  {"spiral", "yarn"});
  EXPECT_EQ(neither.first_of({"dtype", "torch_dtype"}), "dtype");
}

TEST_F(ConfigTest, RopeParametersOfALayerType) {
  const ConfigView config =
      read(R"({"rope_parameters": {"full_attention": {"rope_theta": 160000.0, "rope_type": "default"},
                                                         "sliding_attention": {"rope_theta": 10000.0, "rope_type": "linear", "factor": 2}}})");
  EXPECT_EQ(config_rope(config, {"full_attention"}).theta, 160000);
  EXPECT_EQ(config_rope(config, {"sliding_attention"}).type, "linear");
  expect_contains(load_error([&] { (void)config_rope(config); }), {"one set a layer type"});
}

TEST_F(ConfigTest, ModelDirectory) {
  expect_contains(load_error([&] { require_model_directory(directory_.path("none")); }),
                  {"found nothing of this name"});
  expect_contains(load_error([&] { require_model_directory(directory_.path()); }), {"found no config.json in it"});
  expect_contains(load_error([&] { require_model_directory(directory_.write("config.json", "{}")); }),
                  {"found a file"});
  EXPECT_NO_THROW(require_model_directory(directory_.path()));
}

TEST_F(ConfigTest, GoldenCheckpoints) {
  const ConfigView config = ConfigView::read(std::string(test::kData) + "/bert-mean/config.json");
  EXPECT_EQ(config_architecture(config), "BertModel");
  EXPECT_EQ(config.integer("hidden_size", 1, 1 << 20), 48);
}

}  // namespace
}  // namespace wde
