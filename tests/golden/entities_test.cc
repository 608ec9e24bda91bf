// Entities against transformers' pipeline, under each of its strategies.
#include <fstream>

#include "golden/golden_files.h"
#include "wde/entities.h"

namespace wde {
namespace {

class Entities : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Models, Entities, ::testing::Values("bert-ner-words", "xlm-roberta-ner"),
                         [](const auto& test_info) { return test::test_name(test_info.param); });

TEST_P(Entities, AreThePipelines) {
  const auto model = test::checkpoint(GetParam());
  const test::Golden golden(model);
  const auto wanted = nlohmann::json::parse(std::ifstream(model / "entities.json"));
  const auto engine =
      test::make_engine(model, {{"task", "token_classify"}, {"max-length", std::to_string(golden.max_length)}});
  const auto responses = test::respond(*engine, golden.inputs);
  for (const char* strategy : {"none", "simple", "first", "average", "max"}) {
    SCOPED_TRACE(strategy);
    const EntityAggregation aggregation = entity_aggregation(strategy).value();
    size_t compared = 0;
    for (size_t i = 0; i < responses.size(); ++i) {
      SCOPED_TRACE(i);
      const auto& want = wanted.at(strategy).at(i);
      const auto found = find_entities(responses[i], engine->info().labels, aggregation);
      ASSERT_EQ(found.size(), want.size());
      for (size_t e = 0; e < found.size(); ++e) {
        EXPECT_EQ(found[e].label, want[e].at("label").get<std::string>());
        EXPECT_NEAR(found[e].score, want[e].at("score").get<double>(), 2e-5);
        EXPECT_EQ(found[e].first_char, want[e].at("start").get<uint32_t>());
        EXPECT_EQ(found[e].past_chars, want[e].at("end").get<uint32_t>());
      }
      compared += found.size();
    }
    EXPECT_GT(compared, 20u);
  }
}

}  // namespace
}  // namespace wde
