// Every small checkpoint, and all-MiniLM-L6-v2 where it is at hand, against what the reference implementation answered.
#include <cstdlib>
#include <map>
#include <stdexcept>

#include "golden/golden_files.h"
#include "test_paths.h"

namespace wde {
namespace {

using test::Golden;
using test::make_engine;
namespace fs = std::filesystem;

std::string with_length(const Golden& golden) { return std::to_string(golden.max_length); }

void expect_token_ids(const fs::path& model, const Golden& golden) {
  auto engine = make_engine(model, {{"task", "tokenize"}, {"max-length", with_length(golden)}});
  std::vector<Request> texts;
  std::vector<std::vector<int32_t>> ids;
  for (size_t i = 0; i < golden.inputs.size(); ++i) {
    if (std::holds_alternative<Image>(golden.inputs[i].input)) continue;
    texts.push_back(golden.inputs[i]);
    ids.push_back(golden.ids[i]);
  }
  const auto responses = test::respond(*engine, texts);
  for (size_t i = 0; i < responses.size(); ++i) EXPECT_EQ(responses[i].outputs[0].ids, ids[i]) << "input " << i;
}

// A response's array under the name that the reference gave it, in the same form.
std::vector<float> array_of(const Response& response, const std::string& recorded, size_t size) {
  const auto named = [&](const std::string& name) -> const Output& {
    for (const Output& output : response.outputs) {
      if (output.name == name) return output;
    }
    throw std::runtime_error("no output " + name);
  };
  if (recorded == "embedding" || recorded == "hidden") return named(recorded).values;
  if (recorded == "colbert" || recorded == "vectors") return named("vectors").values;
  if (recorded == "logits") return named(response.outputs[0].name == "score" ? "logit" : "logits").values;
  std::vector<float> dense(size);
  const Output& sparse = named("sparse");
  for (size_t i = 0; i < sparse.ids.size(); ++i) dense.at(static_cast<size_t>(sparse.ids[i])) = sparse.values[i];
  return dense;
}

// Weights of tokens -> of the vocabulary: the highest of each id, without the four special tokens.
std::vector<float> lexical(const std::vector<int32_t>& ids, const std::vector<float>& weights, size_t vocabulary) {
  std::vector<float> out(vocabulary);
  for (size_t t = 0; t < ids.size(); ++t) {
    if (ids[t] > 3) out[static_cast<size_t>(ids[t])] = std::max(out[static_cast<size_t>(ids[t])], weights[t]);
  }
  return out;
}

std::string task_of(const Golden& golden, const std::string& recorded) {
  static const std::map<std::string, std::string> kTasks = {{"embedding", "embed"},      {"hidden", "token_embed"},
                                                            {"sparse", "sparse"},        {"sparse_weights", "sparse"},
                                                            {"colbert", "multi_vector"}, {"vectors", "multi_vector"}};
  if (recorded != "logits") return kTasks.at(recorded);
  if (golden.array("logits", 2).second.size() == 2) return "token_classify";
  return std::holds_alternative<TextPair>(golden.inputs[0].input) ? "score" : "classify";
}

// Compares `recorded` of every input for which the reference recorded it; there must be some.
void expect_arrays(const fs::path& model, const Golden& golden, const std::string& recorded,
                   const test::Settings& more = {}) {
  constexpr size_t kVocabulary = 4096;  // more than any of these has
  const bool weights = recorded == "sparse_weights";
  test::Settings settings = {
      {"task", task_of(golden, recorded)}, {"max-length", with_length(golden)}, {"template", "none"}};
  settings.insert(settings.end(), more.begin(), more.end());
  auto engine = make_engine(model, settings);
  const auto responses = test::respond(*engine, golden.inputs);
  size_t compared = 0;
  double worst = 0;
  for (size_t i = 0; i < responses.size(); ++i) {
    auto [want, shape] = golden.array(recorded, i);
    if (want.empty()) continue;
    ++compared;
    EXPECT_EQ(responses[i].tokens, golden.ids[i].size());
    if (weights) want = lexical(golden.ids[i], want, kVocabulary);
    const double difference = test::difference(array_of(responses[i], recorded, want.size()), want);
    worst = std::max(worst, difference);
    EXPECT_LE(difference, golden.tolerance) << recorded << " of input " << i;
  }
  EXPECT_GT(compared, 0u);
  ::testing::Test::RecordProperty("worst_" + recorded, std::to_string(worst));
}

// Each pair by the vectors of its two texts.
void expect_scores(const fs::path& model, const Golden& golden, const test::Settings& more) {
  test::Settings settings = {{"task", "score"}, {"max-length", with_length(golden)}};
  settings.insert(settings.end(), more.begin(), more.end());
  const auto responses = test::respond(*make_engine(model, settings), golden.pairs);
  for (size_t i = 0; i < responses.size(); ++i) {
    const Output& score = responses[i].outputs.at(0);
    EXPECT_EQ(score.name, "score");
    EXPECT_LE(test::difference(score.values, {golden.scores[i]}), golden.tolerance) << "pair " << i;
  }
}

void expect_everything(const fs::path& model, const test::Settings& settings) {
  const Golden golden(model);
  for (const std::string& recorded : golden.outputs) expect_arrays(model, golden, recorded, settings);
  if (!golden.pairs.empty()) expect_scores(model, golden, settings);
}

class Checkpoints : public ::testing::TestWithParam<std::string> {
 protected:
  fs::path model() const { return test::checkpoint(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Models, Checkpoints, ::testing::ValuesIn(test::checkpoints()),
                         [](const auto& test_info) { return test::test_name(test_info.param); });

TEST(Golden, CheckpointsAreThere) { EXPECT_GE(test::checkpoints().size(), 57u) << "in " << test::kData; }

TEST_P(Checkpoints, TokenIds) { expect_token_ids(model(), Golden(model())); }
TEST_P(Checkpoints, Flash) { expect_everything(model(), {}); }
TEST_P(Checkpoints, NaiveInSync) { expect_everything(model(), {{"attn-backend", "naive"}, {"executor", "sync"}}); }
TEST_P(Checkpoints, MemoryEfficientInPipelineParallel) {
  expect_everything(model(),
                    {{"attn-backend", "memory_efficient"}, {"executor", "pipeline_parallel"}, {"workers", "2"}});
}
TEST_P(Checkpoints, FlashInferInTensorParallel) {
  expect_everything(model(), {{"attn-backend", "flashinfer"}, {"executor", "tensor_parallel"}, {"workers", "3"}});
}
TEST_P(Checkpoints, FlashInAsync) {
  expect_everything(model(), {{"executor", "async"}, {"scheduler", "fifo"}, {"max-batch-tokens", "48"}});
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
  static fs::path recorded() { return fs::path(test::kData).parent_path() / "all-MiniLM-L6-v2"; }
};

TEST_F(MiniLm, TokenIds) { expect_token_ids(minilm(), Golden(recorded())); }
TEST_F(MiniLm, Embeddings) { expect_arrays(minilm(), Golden(recorded()), "embedding"); }

}  // namespace
}  // namespace wde
