// A text's vector is the same, bit for bit, alone or in any company, under any setting that only decides who computes
// it when.
#include "golden/golden_files.h"
#include "property/texts.h"

namespace wde {
namespace {

using test::make_engine;
using test::mixed_texts;
using test::Settings;
using test::vectors;

std::string describe(const Settings& settings) {
  std::string out;
  for (const auto& [name, value] : settings) out += " --" + name + " " + value;
  return out;
}

void expect_same(const std::vector<std::vector<float>>& got, const std::vector<std::vector<float>>& want,
                 const std::string& what) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i], want[i]) << "text " << i << " differs" << what;
}

class Batching : public ::testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<Engine> engine(const Settings& settings) const {
    return make_engine(test::checkpoint(GetParam()), settings);
  }
};
INSTANTIATE_TEST_SUITE_P(Models, Batching, ::testing::ValuesIn(test::embedders()),
                         [](const auto& test_info) { return test::test_name(test_info.param); });

TEST_P(Batching, AloneInSevensAndAllTogether) {
  const auto texts = mixed_texts(64);
  for (const char* task : {"embed", "token_embed"}) {
    auto e = engine({{"task", task}});
    const auto alone = vectors(*e, texts, 1);
    expect_same(vectors(*e, texts, 7), alone, " in batches of 7");
    expect_same(vectors(*e, texts, 64), alone, " among 64");
  }
}

// Queries, whose last keys are unseen, among documents, which have no such ones.
TEST(LateInteractionBatching, QueriesAndDocumentsTogether) {
  for (const char* model : {"colbert-stanford", "colbert-pylate-modernbert"}) {
    std::vector<Request> requests = test::requests(mixed_texts(48));
    for (size_t i = 0; i < requests.size(); ++i) requests[i].prompt_name = i % 3 == 0 ? "query" : "document";
    const auto values = [&](const Settings& settings, size_t group) {
      std::vector<std::vector<float>> out;
      Settings all = {{"task", "multi_vector"}};
      all.insert(all.end(), settings.begin(), settings.end());
      const auto e = make_engine(test::checkpoint(model), all);
      for (Response& response : test::respond(*e, requests, group))
        out.push_back(std::move(response.outputs.at(0).values));
      return out;
    };
    const auto alone = values({{"executor", "sync"}}, 1);
    expect_same(values({}, 48), alone, " among 48");
    expect_same(values({{"executor", "tensor_parallel"}, {"workers", "3"}}, 7), alone, " by three, in sevens");
  }
}

// Every combination for one model; for the others, whose scheduling is the same, each value in one combination.
TEST_P(Batching, EverySettingThatOnlySchedules) {
  const auto texts = mixed_texts(64);
  auto plain = engine({{"executor", "sync"}, {"scheduler", "fifo"}, {"max-batch-tokens", "1"}});
  const auto want = vectors(*plain, texts);
  const std::vector<const char*> budgets = {"1", "17", "170", "1024", "100000"}, schedulers = {"fifo", "length_aware"};
  const std::vector<Settings> executors = {{{"executor", "sync"}},
                                           {{"executor", "data_parallel"}, {"workers", "1"}},
                                           {{"executor", "data_parallel"}, {"workers", "2"}},
                                           {{"executor", "data_parallel"}, {"workers", "3"}},
                                           {{"executor", "async"}},
                                           {{"executor", "tensor_parallel"}, {"workers", "2"}},
                                           {{"executor", "pipeline_parallel"}, {"workers", "2"}}};
  for (size_t b = 0; b < budgets.size(); ++b) {
    for (size_t s = 0; s < schedulers.size(); ++s) {
      for (size_t e = 0; e < executors.size(); ++e) {
        if (GetParam() != "bert-mean" && (b % schedulers.size() != s || b % executors.size() != e)) continue;
        Settings settings = executors[e];
        settings.emplace_back("scheduler", schedulers[s]);
        settings.emplace_back("max-batch-tokens", budgets[b]);
        expect_same(vectors(*engine(settings), texts), want, describe(settings));
      }
    }
  }
}

TEST_P(Batching, OrderOfSubmissionDoesNotMatter) {
  auto texts = mixed_texts(40);
  auto e = engine({});
  auto want = vectors(*e, texts);
  std::reverse(texts.begin(), texts.end());
  std::reverse(want.begin(), want.end());
  expect_same(vectors(*e, texts), want, " in reverse order");
}

// Pooling that needs one row lets the last layer compute that row alone; the row itself must not notice.
TEST_P(Batching, OneRowIsTheRowOfTheWholeSequence) {
  if (GetParam() == "embeddinggemma" || GetParam() == "deberta-v2-reranker") return;  // not a row of length 1
  const auto texts = mixed_texts(24);
  auto hidden = engine({{"task", "token_embed"}});
  const auto all = test::respond(*hidden, test::requests(texts));
  for (const char* pooling : {"cls", "lasttoken"}) {
    auto pooled = engine({{"pooling", pooling}});
    const auto got = vectors(*pooled, texts);
    for (size_t i = 0; i < texts.size(); ++i) {
      const Output& h = all[i].outputs[0];
      const size_t width = h.shape[1], row = std::string(pooling) == "cls" ? 0 : h.shape[0] - 1;
      if (got[i].size() != width) return;  // a Dense layer lies between: other numbers
      std::vector<float> want(h.values.begin() + static_cast<std::ptrdiff_t>(row * width),
                              h.values.begin() + static_cast<std::ptrdiff_t>((row + 1) * width));
      double squares = 0;
      for (float x : want) squares += static_cast<double>(x) * x;
      for (float& x : want) x = static_cast<float>(x / std::sqrt(squares));
      EXPECT_LE(test::difference(got[i], want), 3e-7)
          << pooling << " of text " << i;  // the normalisation's own rounding
    }
  }
}

}  // namespace
}  // namespace wde
