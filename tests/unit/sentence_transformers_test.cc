#include "loader/sentence_transformers.h"

#include <gtest/gtest.h>

#include "loader_files.h"
#include "test_paths.h"

namespace wde {
namespace {

using test::expect_contains;
using test::load_error;
using test::TempDirectory;

constexpr size_t kHidden = 48;
constexpr std::string_view kMeanConfig =
    R"({"embedding_dimension": 48, "pooling_mode": "mean", "include_prompt": true})";

class SentenceTransformersTest : public testing::Test {
 protected:
  // Entries "path type"; a type without a dot gets the home of before 5.4.
  void modules(std::initializer_list<std::pair<std::string, std::string>> entries) const {
    std::string json = "[";
    for (const auto& [path, type] : entries) {
      const std::string full = type.find('.') == std::string::npos ? "sentence_transformers.models." + type : type;
      json += (json.size() == 1 ? "" : ",") +
              ("{\"idx\": 0, \"name\": \"x\", \"path\": \"" + path + "\", \"type\": \"" + full + "\"}");
    }
    directory_.write("modules.json", json + "]");
  }
  SentenceTransformersSpec read() const { return read_sentence_transformers(directory_.path(), kHidden); }
  std::string read_error() const {
    return load_error([&] { (void)read(); });
  }
  std::vector<Pooling> poolings(std::string_view config) const {
    modules({{"", "Transformer"}, {"1_Pooling", "Pooling"}});
    directory_.write("1_Pooling/config.json", config);
    return read().pooling.modes;
  }
  std::string pooling_error(std::string_view config) const {
    return load_error([&] { (void)poolings(config); });
  }
  // A model with one module behind the pooling.
  std::string post_error(const std::string& type, std::string_view config) const {
    with_post(type, config);
    return read_error();
  }
  void with_post(const std::string& type, std::string_view config) const {
    modules({{"", "Transformer"}, {"1_Pooling", "Pooling"}, {"2_Post", type}});
    directory_.write("1_Pooling/config.json", kMeanConfig);
    directory_.write("2_Post/config.json", config);
  }
  TempDirectory directory_;
};

TEST_F(SentenceTransformersTest, PlainTransformer) {
  // Without modules.json sentence-transformers reads none of these.
  directory_.write("sentence_bert_config.json", R"({"max_seq_length": 7, "do_lower_case": true})");
  directory_.write("config_sentence_transformers.json", R"({"prompts": {"query": "q: "}})");
  const SentenceTransformersSpec spec = read();
  EXPECT_FALSE(spec.present);
  EXPECT_EQ(spec.pooling.modes, std::vector{Pooling::kMean});
  EXPECT_TRUE(spec.post.empty());
  EXPECT_TRUE(spec.prompts.empty());
  EXPECT_FALSE(spec.max_seq_length);
  EXPECT_EQ(spec.transformer_directory, directory_.path());
  EXPECT_EQ(find_transformer_directory(directory_.path()), directory_.path());
}

TEST_F(SentenceTransformersTest, BeforeFivePointFour) {
  modules({{"0_Transformer", "Transformer"},
           {"1_Pooling", "Pooling"},
           {"2_Dense", "Dense"},
           {"x", "Dropout"},
           {"3_Dense", "Dense"},
           {"4_LayerNorm", "LayerNorm"},
           {"5_Normalize", "Normalize"}});
  directory_.write(
      "1_Pooling/config.json",
      R"({"word_embedding_dimension": 48, "pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true, "pooling_mode_max_tokens": false})");
  directory_.write(
      "2_Dense/config.json",
      R"({"in_features": 96, "out_features": 20, "bias": false, "activation_function": "torch.nn.modules.linear.Identity"})");
  directory_.write("3_Dense/config.json", R"({"in_features": 20, "out_features": 10})");
  directory_.write("4_LayerNorm/config.json", R"({"dimension": 10})");
  directory_.write("0_Transformer/sentence_roberta_config.json", R"({"max_seq_length": 128, "do_lower_case": true})");
  directory_.write("config_sentence_transformers.json",
                   R"({"__version__": {}, "prompts": {"query": "q: ", "empty": ""}, "default_prompt_name": "query"})");
  const SentenceTransformersSpec spec = read();
  EXPECT_TRUE(spec.present);
  EXPECT_EQ(spec.transformer_directory, directory_.path("0_Transformer"));
  EXPECT_EQ(find_transformer_directory(directory_.path()), directory_.path("0_Transformer"));
  EXPECT_EQ(spec.pooling.modes, (std::vector{Pooling::kCls, Pooling::kMean}));
  EXPECT_TRUE(spec.pooling.include_prompt);
  ASSERT_EQ(spec.post.size(), 4u);
  EXPECT_EQ(spec.post[0].kind, PostModule::Kind::kDense);
  EXPECT_EQ(spec.post[0].dense.in_features, 96u);
  EXPECT_EQ(spec.post[0].dense.out_features, 20u);
  EXPECT_FALSE(spec.post[0].dense.bias);
  EXPECT_EQ(spec.post[0].dense.activation, "identity");
  EXPECT_EQ(spec.post[0].dense.directory, directory_.path("2_Dense"));
  EXPECT_TRUE(spec.post[1].dense.bias);
  EXPECT_EQ(spec.post[1].dense.activation, "tanh");
  EXPECT_EQ(spec.post[2].kind, PostModule::Kind::kLayerNorm);
  EXPECT_EQ(spec.post[2].layer_norm.dimension, 10u);
  EXPECT_EQ(spec.post[3].kind, PostModule::Kind::kNormalize);
  EXPECT_EQ(spec.max_seq_length, 128u);
  EXPECT_EQ(spec.max_seq_length_source, "sentence_roberta_config.json");
  EXPECT_TRUE(spec.do_lower_case);
  EXPECT_EQ(spec.prompts, (std::map<std::string, std::string>{{"empty", ""}, {"query", "q: "}}));
  EXPECT_EQ(spec.default_prompt_name, "query");
}

TEST_F(SentenceTransformersTest, SinceFivePointFour) {
  modules({{"", "sentence_transformers.base.modules.transformer.Transformer"},
           {"1_Pooling", "sentence_transformers.sentence_transformer.modules.pooling.Pooling"},
           {"2_Dense", "sentence_transformers.base.modules.dense.Dense"},
           {"3_Normalize", "sentence_transformers.base.modules.normalize.Normalize"}});
  directory_.write("1_Pooling/config.json",
                   R"({"embedding_dimension": 48, "pooling_mode": ["max", "cls"], "include_prompt": false})");
  directory_.write(
      "2_Dense/config.json",
      R"({"in_features": 96, "out_features": 20, "bias": true, "activation_function": "torch.nn.modules.activation.GELU",
                                              "module_input_name": "sentence_embedding", "module_output_name": "sentence_embedding", "use_residual": false})");
  directory_.write("3_Normalize/config.json", R"({"module_input_name": "sentence_embedding"})");
  directory_.write(
      "sentence_bert_config.json",
      R"({"transformer_task": "feature-extraction", "modality_config": {"text": {"method": "forward"}}, "module_output_name": "token_embeddings"})");
  directory_.write("config_sentence_transformers.json",
                   R"({"model_type": "SentenceTransformer", "prompts": {}, "default_prompt_name": null})");
  const SentenceTransformersSpec spec = read();
  EXPECT_EQ(spec.pooling.modes, (std::vector{Pooling::kMax, Pooling::kCls}));  // the list's order
  EXPECT_FALSE(spec.pooling.include_prompt);
  ASSERT_EQ(spec.post.size(), 2u);
  EXPECT_EQ(spec.post[0].dense.activation, "gelu");
  EXPECT_FALSE(spec.max_seq_length);
  EXPECT_FALSE(spec.do_lower_case);
  EXPECT_FALSE(spec.default_prompt_name);
}

TEST_F(SentenceTransformersTest, PoolingModes) {
  for (const auto& [name, flag] : {std::pair("cls", "cls_token"),
                                   {"max", "max_tokens"},
                                   {"mean", "mean_tokens"},
                                   {"mean_sqrt_len_tokens", "mean_sqrt_len_tokens"},
                                   {"weightedmean", "weightedmean_tokens"},
                                   {"lasttoken", "lasttoken"}}) {
    const std::vector<Pooling> expected{*pooling_from_name(name)};
    EXPECT_EQ(pooling_name(expected[0]), name);
    EXPECT_EQ(poolings("{\"pooling_mode\": \"" + std::string(name) + "\"}"), expected);
    EXPECT_EQ(poolings("{\"pooling_mode_" + std::string(flag) + "\": true}"), expected);
  }
  EXPECT_FALSE(pooling_from_name("median"));
  EXPECT_EQ(
      poolings(
          R"({"pooling_mode_lasttoken": true, "pooling_mode_max_tokens": true, "pooling_mode_mean_sqrt_len_tokens": true, "pooling_mode_weightedmean_tokens": true,
                         "pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true})")
          .size(),
      6u);
  EXPECT_EQ(poolings(R"({"pooling_mode_mean_tokens": false})"), std::vector{Pooling::kMean});
  EXPECT_EQ(poolings(R"({"word_embedding_dimension": 48})"), std::vector{Pooling::kMean});
  EXPECT_EQ(poolings(R"({"pooling_mode": "cls", "pooling_mode_mean_tokens": true})"), std::vector{Pooling::kCls});
}

TEST_F(SentenceTransformersTest, WrongPooling) {
  expect_contains(
      pooling_error(R"({"pooling_mode": "median"})"),
      {"1_Pooling/config.json", "cls, max, mean, mean_sqrt_len_tokens, weightedmean, lasttoken", "\"median\""});
  expect_contains(pooling_error(R"({"pooling_mode": []})"), {"found 0"});
  expect_contains(pooling_error(R"({"pooling_mode": ["cls","cls","cls","cls","cls","cls","cls"]})"), {"found 7"});
  expect_contains(pooling_error(R"({"pooling_mode": 1})"), {"found 1"});
  expect_contains(pooling_error(R"({"pooling_mode_cls_token": 1})"), {"must be true or false, found 1"});
  expect_contains(pooling_error(R"({"embedding_dimension": 64, "pooling_mode": "cls"})"),
                  {"\"embedding_dimension\" must be 48", "hidden size", "found 64"});
  expect_contains(pooling_error(R"({"word_embedding_dimension": -1})"), {"found -1"});
  expect_contains(pooling_error(R"({"hidden_size": 48})"), {"found none of them"});
}

TEST_F(SentenceTransformersTest, WrongModules) {
  const auto error = [&](std::string_view json) {
    directory_.write("modules.json", json);
    expect_contains(load_error([&] { (void)find_transformer_directory(directory_.path()); }), {"modules.json"});
    return read_error();
  };
  expect_contains(error("{}"), {"expected a list of modules, found an object"});
  expect_contains(error("[]"), {"found a list of 0"});
  expect_contains(error("[1]"), {"module 0: expected an object, found 1"});
  expect_contains(error(R"([{"path": ""}])"), {"\"type\" must be a string, found nothing"});
  expect_contains(error(R"([{"path": null, "type": "Transformer"}])"), {"\"path\" must be a string, found null"});
  expect_contains(error(R"([{"path": "", "type": "sentence_transformers.models.BoW"}])"),
                  {"module 0: expected", "found \"sentence_transformers.models.BoW\""});
  for (const char* path : {"../x", "..", "a/../../b", "/etc", "a\\u0000b", "x/.."}) {
    expect_contains(error("[{\"path\": \"" + std::string(path) + "\", \"type\": \"Transformer\"}]"),
                    {"inside the model's directory"});
  }
}

TEST_F(SentenceTransformersTest, WrongOrder) {
  directory_.write("1_Pooling/config.json", kMeanConfig);
  modules({{"", "Transformer"}});
  expect_contains(read_error(), {"expected a Pooling module behind the Transformer, found none"});
  modules({{"", "Transformer"}, {"2", "Normalize"}, {"1_Pooling", "Pooling"}});
  expect_contains(read_error(), {"module 1", "expected a Pooling module before it, found Normalize"});
  modules({{"", "Transformer"}, {"1_Pooling", "Pooling"}, {"1_Pooling", "Pooling"}});
  expect_contains(read_error(), {"module 2: expected one Pooling"});
  modules({{"", "Transformer"}, {"", "Transformer"}, {"1_Pooling", "Pooling"}});
  expect_contains(read_error(),
                  {"module 1", "Pooling, Dense, LayerNorm, Normalize, LogitScore, Dropout, SpladePooling"});
  modules({{"", "Transformer"}, {"1", "sentence_transformers.cross_encoder.modules.logit_score.LogitScore"}});
  expect_contains(read_error(), {"1/config.json", "cannot be opened"});
  EXPECT_EQ(find_transformer_directory(directory_.path()), directory_.path());
  modules({{"", "Transformer"}, {"absent", "Pooling"}});
  expect_contains(read_error(), {"absent/config.json", "No such file"});
}

TEST_F(SentenceTransformersTest, WrongPostModules) {
  expect_contains(post_error("Dense", R"({"in_features": 40, "out_features": 2})"),
                  {"2_Post/config.json", "\"in_features\" must be 48", "found 40"});
  expect_contains(post_error("Dense", R"({"in_features": 48, "out_features": 0})"),
                  {"\"out_features\" must be an integer from 1"});
  expect_contains(post_error("Dense", R"({"in_features": 48})"), {"\"out_features\"", "found nothing"});
  expect_contains(
      post_error(
          "Dense",
          R"({"in_features": 48, "out_features": 2, "activation_function": "torch.nn.modules.activation.Mish"})"),
      {"Tanh, Identity, ReLU, GELU, Sigmoid, SiLU", "Mish"});
  expect_contains(
      post_error("Dense", R"({"in_features": 48, "out_features": 2, "activation_function": "my_code.Tanh"})"),
      {"my_code.Tanh"});
  expect_contains(post_error("Dense", R"({"in_features": 48, "out_features": 2, "activation_function": null})"),
                  {"found null"});
  expect_contains(
      post_error("Dense", R"({"in_features": 48, "out_features": 2, "module_input_name": "token_embeddings"})"),
      {"module_input_name", "token_embeddings", "not supported"});
  expect_contains(post_error("Dense", R"({"in_features": 48, "out_features": 2, "module_output_name": "x"})"),
                  {"module_output_name"});
  expect_contains(post_error("Normalize", R"({"module_input_name": "token_embeddings"})"),
                  {"module_input_name", "not supported"});
  expect_contains(post_error("LayerNorm", R"({"dimension": 47})"), {"\"dimension\" must be 48", "found 47"});
}

TEST_F(SentenceTransformersTest, EveryActivation) {
  for (const auto& [torch, name] : {std::pair("activation.Tanh", "tanh"),
                                    {"linear.Identity", "identity"},
                                    {"activation.ReLU", "relu"},
                                    {"activation.GELU", "gelu"},
                                    {"activation.Sigmoid", "sigmoid"},
                                    {"activation.SiLU", "silu"}}) {
    with_post("Dense", "{\"in_features\": 48, \"out_features\": 2, \"activation_function\": \"torch.nn.modules." +
                           std::string(torch) + "\"}");
    EXPECT_EQ(read().post.at(0).dense.activation, name);
  }
}

TEST_F(SentenceTransformersTest, WrongTransformerFiles) {
  (void)poolings(kMeanConfig);
  const auto error = [&](std::string_view json) {
    directory_.write("sentence_bert_config.json", json);
    return read_error();
  };
  expect_contains(error(R"({"max_seq_length": 0})"), {"\"max_seq_length\" must be an integer from 1", "found 0"});
  expect_contains(error(R"({"max_seq_length": "128"})"), {"found the string"});
  expect_contains(error(R"({"do_lower_case": "no"})"), {"do_lower_case"});
  expect_contains(error(R"({"module_output_name": "sentence_embedding"})"), {"must be \"token_embeddings\""});
  expect_contains(error(R"({"modality_config": {"message": {}}})"), {"must have \"text\", found only \"message\""});
  expect_contains(error(R"({"processing_kwargs": {"text": {"max_length": 64}}})"),
                  {"processing_kwargs.text", "max_length"});
  directory_.write("sentence_bert_config.json", R"({"max_seq_length": null, "processing_kwargs": {}})");
  EXPECT_FALSE(read().max_seq_length);
}

TEST_F(SentenceTransformersTest, WrongPrompts) {
  (void)poolings(kMeanConfig);
  const auto error = [&](std::string_view json) {
    directory_.write("config_sentence_transformers.json", json);
    return read_error();
  };
  expect_contains(error(R"({"prompts": {"a": 1}})"), {"\"prompts.a\" must be a string, found 1"});
  expect_contains(error(R"({"prompts": ["a"]})"), {"\"prompts\" must be an object"});
  expect_contains(error(R"({"prompts": {"a": "x"}, "default_prompt_name": "b"})"),
                  {"\"default_prompt_name\"", "(\"a\")", "found \"b\""});
  expect_contains(error(R"({"default_prompt_name": "b"})"), {"there are none"});
  expect_contains(error(R"({"model_type": "ImageEncoder"})"), {"found \"ImageEncoder\""});
  directory_.write("config_sentence_transformers.json", R"({"default_prompt_name": "query"})");
  EXPECT_EQ(read().default_prompt_name, "query");  // there by default
}

TEST_F(SentenceTransformersTest, WhatTheKindOfModelSays) {
  with_post("Normalize", "{}");
  const auto with = [&](const std::string& content) {
    directory_.write("config_sentence_transformers.json", content);
    return read();
  };
  EXPECT_EQ(with("{}").similarity, "cosine");
  EXPECT_EQ(with(R"({"similarity_fn_name": "dot"})").similarity, "dot");
  EXPECT_EQ(with(R"({"similarity_fn_name": "maxsim"})").similarity, "cosine");  // another kind's
  EXPECT_EQ(with(R"({"truncate_dim": 20})").truncate_dim, 20u);
  EXPECT_EQ(with(R"({"model_type": "SparseEncoder", "truncate_dim": 20, "max_active_dims": 9})").truncate_dim, 0u);
  EXPECT_EQ(read().max_active_dims, 9u);
  EXPECT_EQ(
      with(R"({"model_type": "CrossEncoder", "activation_fn": "torch.nn.modules.linear.Identity"})").score_activation,
      ScoreActivation::kNone);
  EXPECT_FALSE(with(R"({"model_type": "CrossEncoder", "activation_fn": "their_code.Twice"})").score_activation);
  expect_contains(
      load_error([&] {
        (void)with(R"({"model_type": "CrossEncoder", "activation_fn": "torch.nn.modules.activation.Mish"})");
      }),
      {"activation_fn", "Mish"});
}

TEST_F(SentenceTransformersTest, MaximumLength) {
  SentenceTransformersSpec spec;
  const auto resolve = [&](size_t positions) { return resolve_max_length(spec, directory_.path(), positions); };
  EXPECT_EQ(resolve(512).tokens, 512u);
  EXPECT_EQ(resolve(512).source, "the model's positions");
  const auto tokenizer = [&](std::string_view length) {
    directory_.write("tokenizer_config.json", "{\"model_max_length\": " + std::string(length) + "}");
  };
  for (const char* unlimited : {"1000000000000000019884624838656", "1e30", "null", "9223372036854775807"}) {
    tokenizer(unlimited);
    EXPECT_EQ(resolve(512).tokens, 512u);
    EXPECT_EQ(resolve(512).source, "the model's positions");
  }
  tokenizer("256");
  EXPECT_EQ(resolve(512).tokens, 256u);
  EXPECT_EQ(resolve(512).source, "tokenizer_config.json");
  tokenizer("8192.0");
  EXPECT_EQ(resolve(512).tokens, 512u);
  EXPECT_EQ(resolve(512).source, "the model's positions (tokenizer_config.json asks for 8192)");
  for (const char* wrong : {"0", "-1", "\"512\"", "1.5", "-1e30", "true"}) {
    tokenizer(wrong);
    expect_contains(load_error([&] { (void)resolve(512); }), {"tokenizer_config.json", "model_max_length"});
  }
  spec.max_seq_length = 1024;  // counts before the tokenizer's
  spec.max_seq_length_source = "sentence_bert_config.json";
  EXPECT_EQ(resolve(2048).tokens, 1024u);
  EXPECT_EQ(resolve(2048).source, "sentence_bert_config.json");
  EXPECT_EQ(resolve(512).tokens, 512u);
  EXPECT_EQ(resolve(512).source, "the model's positions (sentence_bert_config.json asks for 1024)");
}

TEST_F(SentenceTransformersTest, MaximumLengthFromTheTransformersFolder) {
  SentenceTransformersSpec spec;
  spec.transformer_directory = directory_.path("0_Transformer");
  directory_.write("0_Transformer/tokenizer_config.json", R"({"model_max_length": 100})");
  directory_.write("tokenizer_config.json", R"({"model_max_length": 50})");
  EXPECT_EQ(resolve_max_length(spec, directory_.path(), 512).tokens, 100u);
}

TEST(SentenceTransformersGolden, Checkpoints) {
  const std::string data = test::kData;
  const auto modes = [&](const std::string& name) {
    return read_sentence_transformers(data + "/" + name, kHidden).pooling.modes;
  };
  EXPECT_EQ(modes("bert-mean"), std::vector{Pooling::kMean});
  EXPECT_EQ(modes("bert-cls"), std::vector{Pooling::kCls});
  EXPECT_EQ(modes("roberta-mean"), std::vector{Pooling::kMean});
  EXPECT_EQ(modes("xlm-roberta-cls"), std::vector{Pooling::kCls});
  EXPECT_EQ(modes("distilbert"), std::vector{Pooling::kMean});
  const SentenceTransformersSpec spec = read_sentence_transformers(data + "/bert-max-dense", kHidden);
  EXPECT_EQ(spec.pooling.modes, std::vector{Pooling::kMax});
  ASSERT_EQ(spec.post.size(), 2u);
  EXPECT_EQ(spec.post[0].dense.out_features, 40u);
  EXPECT_EQ(spec.post[0].dense.activation, "tanh");
  EXPECT_EQ(spec.post[1].kind, PostModule::Kind::kNormalize);
  EXPECT_EQ(spec.prompts.at("query"), "query: ");
  EXPECT_EQ(resolve_max_length(spec, data + "/bert-max-dense", 512).tokens, 128u);
}

}  // namespace
}  // namespace wde
