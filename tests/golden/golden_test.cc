// Every small checkpoint, and all-MiniLM-L6-v2 where it is at hand, against what the reference implementation answered.
#include <cstdlib>

#include "golden/golden_files.h"

namespace wde {
namespace {

using test::Golden;
using test::make_engine;
namespace fs = std::filesystem;

std::string with_length(const Golden& golden) { return std::to_string(golden.max_length); }

void expect_token_ids(const fs::path& model, const Golden& golden) {
  auto engine = make_engine(model, {{"task", "tokenize"}, {"max-length", with_length(golden)}});
  const auto responses = test::respond(*engine, golden.inputs);
  for (size_t i = 0; i < responses.size(); ++i) EXPECT_EQ(responses[i].outputs[0].ids, golden.ids[i]) << "input " << i;
}

// Compares `output` of every input for which the reference recorded it; there must be some.
void expect_arrays(const fs::path& model, const Golden& golden, const std::string& task, const std::string& output,
                   const test::Settings& more = {}) {
  test::Settings settings = {{"task", task}, {"max-length", with_length(golden)}};
  settings.insert(settings.end(), more.begin(), more.end());
  auto engine = make_engine(model, settings);
  const auto responses = test::respond(*engine, golden.inputs);
  size_t compared = 0;
  double worst = 0;
  for (size_t i = 0; i < responses.size(); ++i) {
    EXPECT_EQ(responses[i].tokens, golden.ids[i].size());
    const auto [want, shape] = golden.array(output, i);
    if (want.empty()) continue;
    ++compared;
    const Output& got = responses[i].outputs[0];
    EXPECT_EQ(got.name, output);
    EXPECT_EQ(got.shape, shape) << "input " << i;
    const double difference = test::difference(got.values, want);
    worst = std::max(worst, difference);
    EXPECT_LE(difference, golden.tolerance) << "input " << i << ": " << golden.inputs[i].substr(0, 60);
  }
  EXPECT_GT(compared, 0u);
  ::testing::Test::RecordProperty("worst_" + output, std::to_string(worst));
}

class Checkpoints : public ::testing::TestWithParam<std::string> {
 protected:
  fs::path model() const { return test::checkpoint(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Models, Checkpoints, ::testing::ValuesIn(test::checkpoints()),
                         [](const auto& test_info) { return test::test_name(test_info.param); });

TEST(Golden, CheckpointsAreThere) { EXPECT_GE(test::checkpoints().size(), 6u) << "in " << WDE_TEST_DATA; }

TEST_P(Checkpoints, TokenIds) { expect_token_ids(model(), Golden(model())); }
TEST_P(Checkpoints, Embeddings) { expect_arrays(model(), Golden(model()), "embed", "embedding"); }
TEST_P(Checkpoints, HiddenStates) { expect_arrays(model(), Golden(model()), "token_embed", "hidden"); }
TEST_P(Checkpoints, HiddenStatesWithNaiveAttention) {
  expect_arrays(model(), Golden(model()), "token_embed", "hidden", {{"attn-backend", "naive"}});
}

// WDE_MINILM, else the cache that scripts/run fills; empty: neither has it.
fs::path minilm() {
  if (const char* given = std::getenv("WDE_MINILM")) return given;
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  const fs::path base =
      cache != nullptr && *cache != '\0' ? fs::path(cache) : fs::path(home != nullptr ? home : "") / ".cache";
  const fs::path model = base / "wde" / "all-MiniLM-L6-v2";
  return fs::exists(model / "model.safetensors") ? model : fs::path();
}

class MiniLm : public ::testing::Test {
 protected:
  void SetUp() override {
    if (minilm().empty())
      GTEST_SKIP()
          << "NOT TESTED: all-MiniLM-L6-v2 is not here; run scripts/run once, or set WDE_MINILM to its directory";
  }
  static fs::path recorded() { return fs::path(WDE_TEST_DATA).parent_path() / "all-MiniLM-L6-v2"; }
};

TEST_F(MiniLm, TokenIds) { expect_token_ids(minilm(), Golden(recorded())); }
TEST_F(MiniLm, Embeddings) { expect_arrays(minilm(), Golden(recorded()), "embed", "embedding"); }

}  // namespace
}  // namespace wde
