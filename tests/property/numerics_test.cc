// What may change the numbers and by how much: instruction set, attention backend, causality.
#include "golden/golden_files.h"
#include "kernels/dispatch.h"
#include "property/texts.h"

namespace wde {
namespace {

using test::Golden;
using test::make_engine;
using test::vectors;

class EveryIsa : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    kernels::force_target("");
    const auto runnable = kernels::runnable_targets();
    if (std::find(runnable.begin(), runnable.end(), GetParam()) == runnable.end()) {
      GTEST_SKIP() << "NOT TESTED: the kernels are compiled for " << GetParam() << ", but this CPU does not have it";
    }
    kernels::force_target(GetParam());
  }
  void TearDown() override { kernels::force_target(""); }
};
INSTANTIATE_TEST_SUITE_P(Isa, EveryIsa, ::testing::ValuesIn(kernels::compiled_targets()),
                         [](const auto& test_info) { return test_info.param; });

TEST_P(EveryIsa, GoldenEmbeddings) {
  for (const std::string& name : test::checkpoints()) {
    SCOPED_TRACE(name);
    if (Golden(test::checkpoint(name)).array("embedding", 2).first.empty()) continue;
    const Golden golden(test::checkpoint(name));
    auto engine = make_engine(test::checkpoint(name), {{"max-length", std::to_string(golden.max_length)}});
    const auto got = test::respond(*engine, golden.inputs);
    for (size_t i = 0; i < got.size(); ++i)
      EXPECT_LE(test::difference(got[i].outputs[0].values, golden.array("embedding", i).first), golden.tolerance)
          << "input " << i;
  }
}

TEST_P(EveryIsa, BatchesDoNotChangeBits) {
  const auto texts = test::mixed_texts(32);
  auto engine = make_engine(test::checkpoint("bert-mean"));
  EXPECT_EQ(vectors(*engine, texts, 1), vectors(*engine, texts));
}

class Numerics : public ::testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<Engine> engine(const test::Settings& settings) const {
    return make_engine(test::checkpoint(GetParam()), settings);
  }
};
INSTANTIATE_TEST_SUITE_P(Models, Numerics, ::testing::ValuesIn(test::plain_encoders()),
                         [](const auto& test_info) { return test::test_name(test_info.param); });

TEST_P(Numerics, FlashAndNaiveAttentionAgree) {
  const auto texts = test::mixed_texts(32);
  for (const char* attention : {"bidirectional", "causal"}) {
    const auto flash =
        vectors(*engine({{"attention", attention}, {"attn-backend", "flash"}, {"task", "token_embed"}}), texts);
    const auto naive =
        vectors(*engine({{"attention", attention}, {"attn-backend", "naive"}, {"task", "token_embed"}}), texts);
    for (size_t i = 0; i < texts.size(); ++i) EXPECT_LE(test::difference(flash[i], naive[i]), 2e-5) << "text " << i;
  }
}

TEST_P(Numerics, CausalAttentionIsAnotherModel) {
  const std::vector<std::string> texts = {"The quick brown fox jumps over the lazy dog."};
  for (const char* backend : {"flash", "naive"}) {
    const auto both_ways = vectors(*engine({{"attn-backend", backend}}), texts);
    EXPECT_EQ(vectors(*engine({{"attn-backend", backend}, {"attention", "bidirectional"}}), texts), both_ways)
        << "encoders are bidirectional by themselves";
    const auto causal = vectors(*engine({{"attn-backend", backend}, {"attention", "causal"}}), texts);
    // cls pools the first token, which then sees itself alone: still another vector.
    EXPECT_GT(test::difference(causal[0], both_ways[0]), 1e-3);
  }
}

// Under causal attention a token's hidden state is a function of the tokens up to it, to the bit; under bidirectional
// it is not.
TEST_P(Numerics, CausalTokensDoNotSeeWhatFollows) {
  const std::vector<int32_t> ids = {5, 17, 200, 33, 1001, 64, 7,   512, 90, 300,
                                    2, 41, 8,   77, 1150, 19, 654, 11,  23, 987};
  const auto hidden = [](Engine& e, std::vector<int32_t> tokens) {
    auto result = e.submit({TokenIds{std::move(tokens)}, {}}).get();
    if (!result.ok()) ADD_FAILURE() << result.error().message;
    return result.ok() ? result.value().outputs.at(0) : Output{};
  };
  auto causal = engine({{"task", "token_embed"}, {"attention", "causal"}});
  auto both_ways = engine({{"task", "token_embed"}});
  const Output all = hidden(*causal, ids), all_both = hidden(*both_ways, ids);
  const size_t width = all.shape.at(1);
  for (size_t prefix : {1, 2, 7, 16, 19}) {
    const std::vector<int32_t> begin(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(prefix));
    const Output part = hidden(*causal, begin), part_both = hidden(*both_ways, begin);
    ASSERT_EQ(part.shape, (std::vector<size_t>{prefix, width}));
    const auto bits_of = [&](const Output& o) {
      return std::vector<float>(o.values.begin(), o.values.begin() + static_cast<std::ptrdiff_t>(prefix * width));
    };
    EXPECT_EQ(part.values, bits_of(all)) << "the first " << prefix << " tokens";
    EXPECT_GT(test::difference(part_both.values, bits_of(all_both)), 1e-4) << "the first " << prefix << " tokens";
  }
}

}  // namespace
}  // namespace wde
