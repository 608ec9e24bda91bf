// Every rule of the resolver, and their order.
#include "model/causality.h"

#include "unit/loader_files.h"

namespace wde {
namespace {

using test::load_error;
using test::TempDirectory;

class CausalityTest : public ::testing::Test {
 protected:
  ConfigView config(const std::string& json) const { return ConfigView::read(directory_.write("config.json", json)); }
  Causality resolve(const std::string& json, bool causal_by_default = true, const std::string& flag = "auto") const {
    return resolve_causality(flag, config(json), causal_by_default);
  }
  TempDirectory directory_;
};

constexpr const char* kGteQwen2 = R"("auto_map": {"AutoModel": "modeling_qwen.Qwen2Model"})";

std::string object(const std::string& members) { return "{" + members + "}"; }

TEST_F(CausalityTest, TheFlagIsFirst) {
  EXPECT_FALSE(resolve(R"({"is_causal": false})", false, "causal").bidirectional);
  EXPECT_TRUE(resolve(R"({"is_causal": true})", true, "bidirectional").bidirectional);
  EXPECT_EQ(resolve("{}", true, "causal").rule, "--attention");
}

TEST_F(CausalityTest, KeysOfTheConfigInTheirOrder) {
  EXPECT_TRUE(resolve(R"({"is_causal": false, "use_bidirectional_attention": false, "causal": true})").bidirectional);
  EXPECT_EQ(resolve(R"({"is_causal": true, "causal": false})", false).rule, "is_causal in config.json");
  EXPECT_TRUE(resolve(R"({"use_bidirectional_attention": true, "causal": true})").bidirectional);
  EXPECT_EQ(resolve(R"({"use_bidirectional_attention": true})").rule, "use_bidirectional_attention in config.json");
  EXPECT_FALSE(resolve(R"({"causal": true})", false).bidirectional);
  EXPECT_EQ(resolve(R"({"causal": false})").rule, "causal in config.json");
  EXPECT_FALSE(resolve(R"({"is_causal": null, "causal": null})").bidirectional);
}

TEST_F(CausalityTest, BidirectionalAttentionMayBeAWord) {
  EXPECT_TRUE(resolve(R"({"use_bidirectional_attention": "all"})").bidirectional);
  EXPECT_FALSE(resolve(R"({"use_bidirectional_attention": "vision"})").bidirectional);
  const std::string error = load_error([&] { resolve(R"({"use_bidirectional_attention": "some"})"); });
  EXPECT_NE(error.find("\"some\""), std::string::npos) << error;
}

TEST_F(CausalityTest, AnArchitectureOfThatNatureComesBeforeItsCode) {
  EXPECT_EQ(resolve(object(kGteQwen2), false).rule, "the architecture is bidirectional");
  EXPECT_TRUE(resolve("{}", false).bidirectional);
  EXPECT_EQ(resolve(R"({"model_type": "llama_bidirec", "architectures": ["LlamaModel"]})").rule,
            "model_type in config.json");
  EXPECT_FALSE(resolve(R"({"model_type": "llama"})").bidirectional);
}

TEST_F(CausalityTest, CodeThatIsKnown) {
  for (const std::string code :
       {"modeling_qwen.Qwen2Model", "Alibaba-NLP/gte-Qwen2-1.5B-instruct--modeling_qwen.Qwen2Model",
        "modeling_mistral_encoder.MistralEncoderModel",
        "McGill-NLP/LLM2Vec-Meta-Llama-3-8B-Instruct-mntp--modeling_llama_encoder.LlamaEncoderModel"}) {
    const Causality found = resolve(object(R"("auto_map": {"AutoModel": ")" + code + "\"}"));
    EXPECT_TRUE(found.bidirectional) << code;
    EXPECT_EQ(found.rule, "auto_map in config.json: " + code);
  }
  for (const std::string code : {"modeling_qwen.QWenLMHeadModel", "modeling_llama.LlamaModel", "modeling_x_encoder",
                                 "x--configuration_qwen.Qwen2Config"}) {
    EXPECT_FALSE(resolve(object(R"("auto_map": {"AutoModel": ")" + code + "\"}")).bidirectional) << code;
  }
  EXPECT_FALSE(resolve(R"({"auto_map": {"AutoModel": ["modeling_qwen.Qwen2Model", null]}})").bidirectional);
  EXPECT_FALSE(resolve(R"({"auto_map": {"AutoConfig": "modeling_qwen.Qwen2Model"}})").bidirectional);
}

TEST_F(CausalityTest, Llm2VecsFileAndThenTheDefault) {
  EXPECT_FALSE(resolve("{}").bidirectional);
  EXPECT_EQ(resolve("{}").rule, "the architecture's default");
  directory_.write("llm2vec_config.json", "{}");
  EXPECT_TRUE(resolve("{}").bidirectional);
  EXPECT_EQ(resolve("{}").rule, "llm2vec_config.json is there");
  EXPECT_EQ(resolve(object(kGteQwen2)).rule, "auto_map in config.json: modeling_qwen.Qwen2Model");
  EXPECT_FALSE(resolve(R"({"is_causal": true})").bidirectional);
}

}  // namespace
}  // namespace wde
