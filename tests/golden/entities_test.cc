// Entities against transformers' pipeline, under each of its strategies.
#include <fstream>
#include <set>

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

// Random labels of every scheme in use: BIO, BIOES, BILOU, none at all, names with dashes.
TEST(EntitySchemes, AreGroupedAsThePipelineDoes) {
  const auto file = std::filesystem::path(test::kData).parent_path() / "entities" / "schemes.json";
  const auto recorded = nlohmann::json::parse(std::ifstream(file));
  std::set<std::string> schemes;
  for (const auto& test_case : recorded.at("cases")) {
    SCOPED_TRACE(test_case.dump());
    schemes.insert(test_case.at("scheme").get<std::string>());
    const auto labels = test_case.at("labels").get<std::vector<std::string>>();
    const auto probs = test_case.at("probs").get<std::vector<std::vector<float>>>();
    Response response;
    Output output{"probs", {probs.size(), labels.size()}, {}, {}};
    for (const auto& row : probs) {
      const auto begin = static_cast<uint32_t>(response.details.text.size());
      output.values.insert(output.values.end(), row.begin(), row.end());
      response.details.text += "ab ";
      response.details.offsets.push_back({begin, begin + 2});
      response.details.special_tokens_mask.push_back(0);
      response.details.continues_word.push_back(0);
    }
    response.outputs.push_back(std::move(output));
    const auto found = find_entities(response, labels, EntityAggregation::kSimple);
    const auto& want = test_case.at("entities");
    ASSERT_EQ(found.size(), want.size());
    for (size_t e = 0; e < found.size(); ++e) {
      EXPECT_EQ(found[e].label, want[e][0].get<std::string>());
      EXPECT_NEAR(found[e].score, want[e][1].get<double>(), 1e-6);
      EXPECT_EQ(found[e].begin, want[e][2].get<uint32_t>());
      EXPECT_EQ(found[e].end, want[e][3].get<uint32_t>());
    }
  }
  EXPECT_EQ(schemes.size(), 7u);
}

}  // namespace
}  // namespace wde
