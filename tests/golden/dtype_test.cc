// The other --dtype's: the token vectors of every small checkpoint beside those of float32, all-MiniLM-L6-v2 beside
// what the reference implementation answered, and what stays as it is.
#include <cstdlib>
#include <map>

#include "golden/golden_files.h"

namespace wde {
namespace {

using test::make_engine;
namespace fs = std::filesystem;

double cosine(const float* a, const float* b, size_t n) {
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < n; ++i) {
    ab += static_cast<double>(a[i]) * b[i];
    aa += static_cast<double>(a[i]) * a[i];
    bb += static_cast<double>(b[i]) * b[i];
  }
  return ab / std::sqrt(aa * bb);
}

std::vector<Response> respond(const fs::path& model, test::Settings settings, const test::Golden& golden) {
  // A model with towers has no vector a token.
  const bool towers =
      golden.outputs == std::vector<std::string>{"embedding"} && model.filename().string().starts_with("clip");
  settings.insert(settings.end(), {{"task", towers ? "embed" : "token_embed"},
                                   {"template", "none"},
                                   {"max-length", std::to_string(golden.max_length)}});
  auto engine = make_engine(model, settings);
  std::vector<Request> requests;
  for (const Request& request : golden.inputs) {
    const auto* pair = std::get_if<TextPair>(&request.input);
    requests.push_back(pair != nullptr ? Request{pair->document} : request);
  }
  return test::respond(*engine, requests);
}

struct Cosines {
  double worst = 1, mean = 0;
};
Cosines compare(const std::vector<Response>& got, const std::vector<Response>& want) {
  Cosines out;
  size_t count = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    const Output &g = got[i].outputs.at(0), &w = want[i].outputs.at(0);
    EXPECT_EQ(g.values.size(), w.values.size());
    const size_t width = w.shape.back();
    for (size_t at = 0; at + width <= w.values.size(); at += width, ++count) {
      const double c = cosine(&g.values[at], &w.values[at], width);
      out.worst = c < out.worst ? c : out.worst;
      EXPECT_FALSE(std::isnan(c));
      out.mean += c;
    }
  }
  out.mean /= static_cast<double>(count);
  return out;
}

class Dtypes : public ::testing::TestWithParam<std::string> {
 protected:
  void expect_near(const std::string& dtype, double worst, double mean) {
    const fs::path model = test::checkpoint(GetParam());
    const test::Golden golden(model);
    const Cosines found = compare(respond(model, {{"dtype", dtype}}, golden), respond(model, {}, golden));
    // Where experts are chosen, a token between two of them may take the other one: a jump, if a rare one.
    EXPECT_GE(found.worst, GetParam() == "nomic-moe" ? 0.95 : worst) << dtype;
    EXPECT_GE(found.mean, GetParam() == "nomic-moe" ? 0.99 : mean) << dtype;
    RecordProperty("worst", std::to_string(found.worst));
    RecordProperty("mean", std::to_string(found.mean));
  }
};
INSTANTIATE_TEST_SUITE_P(Models, Dtypes, ::testing::ValuesIn(test::checkpoints()),
                         [](const auto& test_info) { return test::test_name(test_info.param); });

TEST_P(Dtypes, Int8) { expect_near("int8", 0.99, 0.995); }
TEST_P(Dtypes, Bfloat16) { expect_near("bfloat16", 0.999, 0.9999); }

// A layer that stays in float32 in every one of its Linears is float32: all of them, and there is no difference.
TEST_P(Dtypes, AllLayersListedIsFloat32) {
  const fs::path model = test::checkpoint(GetParam());
  const test::Golden golden(model);
  const std::string all = GetParam().starts_with("model2vec") ? "embeddings" : ".";
  const auto got = respond(model, {{"dtype", "int8"}, {"float32-layers", all}}, golden),
             want = respond(model, {}, golden);
  for (size_t i = 0; i < want.size(); ++i) EXPECT_EQ(got[i].outputs.at(0).values, want[i].outputs.at(0).values);
}

TEST(DtypeMemory, WeightsShrink) {
  const fs::path model = test::checkpoint("bert-mean");
  const auto bytes = [&](const std::string& dtype, const std::string& float32) {
    test::Settings settings = {{"dtype", dtype}};
    if (!float32.empty()) settings.emplace_back("float32-layers", float32);
    return make_engine(model, settings)->info().weight_bytes;
  };
  const size_t float32 = bytes("float32", ""), bf16 = bytes("bfloat16", ""), int8 = bytes("int8", "");
  EXPECT_LT(bf16, float32);
  EXPECT_LT(int8, bf16);
  const size_t first = bytes("int8", "0"), down = bytes("int8", "output.dense");
  EXPECT_GT(first, int8);
  EXPECT_LT(first, float32);
  EXPECT_GT(down, int8);
  EXPECT_LT(down, float32);
}

}  // namespace
}  // namespace wde
