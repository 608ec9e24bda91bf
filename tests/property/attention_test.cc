// Attention as an engine's one instance of a backend: a switch that every layer obeys, names, and what is refused.
#include "attention/attn_backend.h"

#include "golden/golden_files.h"

namespace wde {
namespace {

using test::make_engine;
using test::Settings;

const std::string kText = "the capital of Frankreich is naïve , 123.5 unbelievably a Straße ?";

// What one layer was asked for and answered.
struct Call {
  bool causal = false;
  std::vector<float> out;
  bool would_differ = false;  // if this layer alone were asked with the switch the other way
};

// flash, keeping a record of every call. One instance an engine: `latest` is the last one that was made.
class RecordingAttention final : public AttnBackend {
 public:
  RecordingAttention() {
    latest = this;
    ++instances;
  }
  std::string refuses(const AttentionMask&) const override { return refused; }
  size_t scratch_floats(size_t max_seqlen, const HeadShape& heads) const override {
    return kernels::flash_attention_scratch(max_seqlen, heads.head_dim, heads.num_heads / heads.num_kv_heads);
  }

  static inline RecordingAttention* latest = nullptr;
  static inline size_t instances = 0;
  static inline std::string refused;
  mutable std::vector<Call> calls;

 private:
  static std::vector<float> compute(kernels::AttentionArgs args, float* scratch) {
    const size_t width = args.num_heads * args.head_dim;
    std::vector<float> out(args.q_len * width);
    args.out = out.data();
    args.out_stride = width;
    kernels::flash_attention(args, scratch);
    return out;
  }
  void attend_sequence(const kernels::AttentionArgs& args, float* scratch) const noexcept override {
    Call call{args.causal, compute(args, scratch)};
    kernels::AttentionArgs other = args;
    other.causal = !args.causal;
    call.would_differ = compute(other, scratch) != call.out;
    calls.push_back(std::move(call));
    kernels::flash_attention(args, scratch);
  }
};
WDE_REGISTER(attn_backends().add("test_recording", [] { return std::make_unique<RecordingAttention>(); }));

std::vector<Call> calls_of(Engine& engine) {
  RecordingAttention::latest->calls.clear();
  EXPECT_TRUE(engine.submit({kText, {}}).get().ok());
  return RecordingAttention::latest->calls;
}

class AttentionOfModels : public ::testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<Engine> engine(Settings settings) const {
    return make_engine(test::checkpoint(GetParam()), settings);
  }
};
INSTANTIATE_TEST_SUITE_P(Models, AttentionOfModels, ::testing::ValuesIn(test::checkpoints_with_layers()),
                         [](const auto& test_info) { return test::test_name(test_info.param); });

TEST_P(AttentionOfModels, OneSwitchOfOneInstanceChangesEveryLayer) {
  const size_t before = RecordingAttention::instances;
  const auto e = engine({{"task", "token_embed"},
                         {"attn-backend", "test_recording"},
                         {"attention", "bidirectional"},
                         {"executor", "sync"},
                         {"scheduler", "fifo"}});
  ASSERT_EQ(RecordingAttention::instances, before + 1) << "one instance serves all layers";
  const size_t layers = test::layers_of(GetParam());

  const auto bidirectional = calls_of(*e);
  RecordingAttention::latest->set_bidirectional(false);
  const auto causal = calls_of(*e);
  RecordingAttention::latest->set_bidirectional(true);
  const auto again = calls_of(*e);
  ASSERT_EQ(bidirectional.size(), layers);
  ASSERT_EQ(causal.size(), layers);
  ASSERT_EQ(again.size(), layers);
  for (size_t i = 0; i < layers; ++i) {
    SCOPED_TRACE("layer " + std::to_string(i));
    EXPECT_FALSE(bidirectional[i].causal);
    EXPECT_TRUE(causal[i].causal);
    EXPECT_TRUE(bidirectional[i].would_differ);
    EXPECT_TRUE(causal[i].would_differ);
    EXPECT_NE(causal[i].out, bidirectional[i].out);
    EXPECT_EQ(again[i].out, bidirectional[i].out);
  }
}

// Every backend computes the same model, unless it refuses its masks at load; `naive` refuses none.
TEST_P(AttentionOfModels, EveryBackendGivesTheSameVectors) {
  const std::vector<std::string> recorded = test::Golden(test::checkpoint(GetParam())).outputs;
  const bool of_tokens = std::find(recorded.begin(), recorded.end(), "vectors") != recorded.end();
  const auto vector_of = [&](const std::string& name) {
    const test::Settings settings = {{"attn-backend", name}, {"task", of_tokens ? "multi_vector" : "embed"}};
    auto answer = engine(settings)->submit({kText, {}}).get();
    EXPECT_TRUE(answer.ok());
    return answer.ok() ? answer.value().outputs[0].values : std::vector<float>{};
  };
  const auto want = vector_of("naive");
  for (const std::string& name : attn_backends().names()) {
    if (name == "test_recording") continue;
    SCOPED_TRACE(name);
    try {
      EXPECT_LE(test::difference(vector_of(name), want), 2e-5);
    } catch (const UsageError& error) {
      EXPECT_NE(std::string(error.what()).find("does not honour"), std::string::npos) << error.what();
    }
  }
}

TEST(AttentionBackends, WhatABackendDoesNotHonourIsRefusedAtLoad) {
  RecordingAttention::refused = "logit soft cap";
  try {
    make_engine(test::checkpoint("bert-mean"), {{"attn-backend", "test_recording"}});
    ADD_FAILURE() << "expected a UsageError";
  } catch (const UsageError& error) {
    EXPECT_EQ(std::string(error.what()),
              "the attention backend 'test_recording' does not honour logit soft cap, which BertModel needs; try "
              "--attn-backend naive");
  }
  RecordingAttention::refused = "";
}

TEST(AttentionBackends, FlashInferIsFlashAndSaysSo) {
  const auto e = make_engine(test::checkpoint("bert-mean"), {{"attn-backend", "flashinfer"}});
  const std::pair<std::string, std::string> want{"attn_backend", "flash (asked for as flashinfer)"};
  const auto& modules = e->info().modules;
  EXPECT_NE(std::find(modules.begin(), modules.end(), want), modules.end());
}

}  // namespace
}  // namespace wde
