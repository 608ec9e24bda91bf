// Sequences that borrow the rows they begin alike with have the same vectors, bit for bit, as those that compute all of
// their own; and the rows are really spared.
#include "build/model_input_builder.h"
#include "golden/golden_files.h"
#include "property/texts.h"
#include "schedule/scheduler.h"

namespace wde {
namespace {

using test::make_engine;
using test::Settings;
using test::vectors;

// Three families of common beginnings, longer and shorter, in no order; equal texts; one text that begins another.
std::vector<std::string> texts_with_prefixes() {
  const std::string instruct = "Instruct: find the passage that answers the question of the user as well as it can. ";
  const std::string queries[] = {instruct + "Query: the capital of Frankreich, and why it is there and not elsewhere: ",
                                 instruct + "Query: unbelievably naïve words: ", "something else altogether, "};
  const auto tails = test::mixed_texts(40);
  std::vector<std::string> texts;
  for (size_t i = 0; i < tails.size(); ++i) texts.push_back(queries[i * 7 % 3] + tails[i]);
  texts.push_back(texts[3]);
  texts.push_back(queries[0]);
  texts.push_back("alone");
  return texts;
}

class SharedPrefix : public ::testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<Engine> engine(Settings settings) const {
    settings.emplace_back("max-batch-tokens", "4000");
    return make_engine(test::checkpoint(GetParam()), settings);
  }
};
INSTANTIATE_TEST_SUITE_P(Models, SharedPrefix,
                         ::testing::Values("qwen3-embedding", "e5-mistral", "qwen2-last", "gemma2-lasttoken",
                                           "llama3-rope", "mistral-window"),
                         [](const auto& test_info) { return test::test_name(test_info.param); });

TEST_P(SharedPrefix, SameBitsAsWithout) {
  const auto texts = texts_with_prefixes();
  const Settings pooling = {{"pooling", "lasttoken"}};
  Settings plain = pooling;
  plain.emplace_back("set", "model_input_builder=encoder");
  const auto want = vectors(*engine(plain), texts, 1);
  for (const char* backend : {"flash", "memory_efficient", "naive"}) {
    for (const char* executor : {"sync", "data_parallel", "tensor_parallel", "pipeline_parallel"}) {
      if (std::string(backend) != "flash" && std::string(executor) != "sync") continue;
      Settings settings = pooling;
      settings.emplace_back("attn-backend", backend);
      settings.emplace_back("executor", executor);
      settings.emplace_back("workers", "2");
      Settings full = settings;
      full.emplace_back("set", "model_input_builder=encoder");
      const auto& expected = std::string(backend) == "flash" ? want : vectors(*engine(full), texts, 1);
      const auto e = engine(settings);
      const auto got = vectors(*e, texts, texts.size());
      ASSERT_EQ(got.size(), expected.size());
      for (size_t i = 0; i < got.size(); ++i)
        EXPECT_EQ(got[i], expected[i]) << backend << ", " << executor << ", text " << i;
    }
  }
}

TEST(SharedPrefixBuilder, IsChosenWhereItGivesTheSameNumbers) {
  const auto builder = [](const char* checkpoint, const Settings& settings) {
    const auto e = make_engine(test::checkpoint(checkpoint), settings);
    for (const auto& [seam, name] : e->info().modules) {
      if (seam == "model_input_builder") return name;
    }
    return std::string();
  };
  EXPECT_EQ(builder("qwen3-embedding", {}), "shared_prefix");
  EXPECT_EQ(builder("qwen3-embedding", {{"set", "model_input_builder=encoder"}}), "encoder");
  EXPECT_EQ(builder("qwen3-embedding", {{"attention", "bidirectional"}}), "encoder");
  EXPECT_EQ(builder("qwen3-embedding", {{"pooling", "mean"}}), "encoder");
  EXPECT_EQ(builder("gte-qwen2", {}), "encoder");
  EXPECT_EQ(builder("bert-cls", {}), "encoder");
}

Sequence sequence(std::vector<int32_t> ids) {
  Sequence s;
  s.type_ids.assign(ids.size(), 0);
  s.ids = std::move(ids);
  return s;
}

std::vector<int32_t> range(int32_t begin, int32_t end) {
  std::vector<int32_t> out;
  for (int32_t i = begin; i < end; ++i) out.push_back(i);
  return out;
}

TEST(SharedPrefixBuilder, PacksWhatIsCommonOnce) {
  const auto builder = model_input_builders().get("shared_prefix")();
  auto a = range(0, 20), b = range(0, 20), c = range(0, 12), other = range(50, 70);
  a.push_back(100);
  b.push_back(101);
  const std::vector<Sequence> batch = {sequence(b), sequence(other), sequence(a), sequence(c), sequence(a)};
  ModelInput input;
  builder->build(batch, RowsNeeded::kLast, input);
  // a stands first in the dictionary's order behind c, which is its beginning and too short to lend as much.
  size_t rows = 0;
  ASSERT_EQ(input.prefix_lens.size(), batch.size());
  for (size_t s = 0; s < batch.size(); ++s) {
    const auto own = static_cast<size_t>(input.cu_seqlens[s + 1] - input.cu_seqlens[s]);
    const auto prefix = static_cast<size_t>(input.prefix_lens[s]);
    ASSERT_EQ(own + prefix, batch[s].size());
    ASSERT_GE(own, 1u);
    std::vector<int32_t> ids;
    for (size_t i = 0; i < prefix; ++i) {
      const size_t row = static_cast<size_t>(input.prefix_rows[s]) + i;
      ids.push_back(input.ids[row]);
      EXPECT_EQ(input.positions[row], static_cast<int32_t>(i));
    }
    for (size_t i = 0; i < own; ++i) ids.push_back(input.ids[static_cast<size_t>(input.cu_seqlens[s]) + i]);
    EXPECT_EQ(ids, batch[s].ids) << s;
    EXPECT_EQ(input.row_indices[s], input.cu_seqlens[s + 1] - 1);
    EXPECT_EQ(input.row_positions[s], static_cast<int32_t>(batch[s].size()) - 1);
    rows += own;
  }
  EXPECT_EQ(rows, input.tokens());
  EXPECT_EQ(rows, 21u + 20 + 12 + 1 + 1) << "one of a and b has its tokens, c too or borrows them";
  EXPECT_EQ(input.max_seqlen, 21u);
  // Batches grow with what is shared in them: eight times.
  EXPECT_EQ(builder->useful_tokens({}), 512u);
  EXPECT_EQ(builder->useful_tokens(batch), 512u + 8 * (tokens_of(batch) - rows));
  const std::vector<Sequence> apart = {sequence(range(0, 400)), sequence(range(500, 900))};
  EXPECT_EQ(builder->useful_tokens(apart), 512u);
  EXPECT_EQ(builder->useful_tokens(std::span(apart).first(1)), 800u) << "two, to see what they share";
  const std::vector<Sequence> alike(50, sequence(range(0, 50)));
  EXPECT_EQ(builder->useful_tokens(alike), builder->most_useful_tokens());
  // All rows are needed: nothing is shared.
  builder->build(batch, RowsNeeded::kAll, input);
  EXPECT_TRUE(input.prefix_lens.empty());
  EXPECT_EQ(input.tokens(), 21u + 20 + 21 + 12 + 21);
}

}  // namespace
}  // namespace wde
