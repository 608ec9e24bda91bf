// Vectors of the other --dtype's do not depend on the batch or on who computes it, to the last bit, any more than those
// of float32.
#include "golden/golden_files.h"
#include "property/texts.h"

namespace wde {
namespace {

using test::make_engine;
using test::vectors;

class DtypeBatching : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Models, DtypeBatching, ::testing::ValuesIn(test::embedders()),
                         [](const auto& test_info) { return test::test_name(test_info.param); });

TEST_P(DtypeBatching, SameBitsInAnyCompanyAndTeam) {
  const auto texts = test::mixed_texts(48);
  for (const char* dtype : {"int8", "bfloat16"}) {
    const auto with = [&](test::Settings settings) {
      settings.emplace_back("dtype", dtype);
      return make_engine(test::checkpoint(GetParam()), settings);
    };
    const auto alone = vectors(*with({{"executor", "sync"}, {"workers", "1"}}), texts, 1);
    auto engine = with({});
    for (size_t group : {1, 7, 48})
      EXPECT_EQ(vectors(*engine, texts, group), alone) << dtype << ", groups of " << group;
    for (const char* workers : {"2", "3"}) {
      for (const char* tokens : {"1", "60", "100000"}) {
        EXPECT_EQ(vectors(*with({{"executor", "tensor_parallel"}, {"workers", workers}, {"max-batch-tokens", tokens}}),
                          texts),
                  alone)
            << dtype << ", a team of " << workers << ", batches of " << tokens;
      }
    }
  }
}

}  // namespace
}  // namespace wde
