// A checkpoint whose matrices are bfloat16 keeps them so in float32 too: the very bits of the same numbers in a float32
// file, with half the memory. One matrix in float32 is enough for all to be kept in it.
#include <bit>
#include <cstring>
#include <fstream>

#include <nlohmann/json.hpp>

#include "golden/golden_files.h"
#include "kernels/gemm_bf16.h"
#include "property/texts.h"
#include "unit/loader_files.h"

namespace wde {
namespace {

using test::make_engine;
using test::vectors;
namespace fs = std::filesystem;

enum class Stored { kFloat32, kBfloat16, kOneMatrixFloat32 };

// A copy of the checkpoint, of which all matrices are rounded to bfloat16 and stored as is asked.
void store(const fs::path& from, const fs::path& to, Stored stored) {
  fs::copy(from, to, fs::copy_options::recursive);
  std::ifstream in(from / "model.safetensors", std::ios::binary);
  const std::string file{std::istreambuf_iterator<char>(in), {}};
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.data(), sizeof(header_bytes));
  const auto header = nlohmann::json::parse(file.substr(8, header_bytes));
  nlohmann::json rewritten = nlohmann::json::object();
  std::string data;
  bool kept_one = false;
  for (const auto& [name, tensor] : header.items()) {
    if (name == "__metadata__") continue;
    const size_t begin = 8 + header_bytes + tensor["data_offsets"][0].get<size_t>(),
                 end = 8 + header_bytes + tensor["data_offsets"][1].get<size_t>(), first = data.size();
    const bool matrix = tensor["dtype"] == "F32" && tensor["shape"].size() > 1;
    const bool halves = matrix && (stored == Stored::kBfloat16 || (stored == Stored::kOneMatrixFloat32 && kept_one));
    kept_one = kept_one || matrix;
    rewritten[name] = tensor;
    if (halves) rewritten[name]["dtype"] = "BF16";
    for (size_t at = begin; at < end && matrix; at += 4) {
      float x = 0;
      std::memcpy(&x, file.data() + at, 4);
      const uint32_t bits = uint32_t{kernels::to_bf16(x)} << 16;
      data.append(reinterpret_cast<const char*>(&bits) + (halves ? 2 : 0), halves ? 2 : 4);
    }
    if (!matrix) data.append(file, begin, end - begin);
    rewritten[name]["data_offsets"] = {first, data.size()};
  }
  std::ofstream(to / "model.safetensors", std::ios::binary) << test::safetensors(rewritten.dump(), data);
}

class StoredBfloat16 : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Models, StoredBfloat16, ::testing::ValuesIn(test::embedders()),
                         [](const auto& test_info) { return test::test_name(test_info.param); });

TEST_P(StoredBfloat16, GivesTheBitsOfFloat32) {
  const fs::path model = test::checkpoint(GetParam());
  ASSERT_TRUE(fs::exists(model / "model.safetensors"));
  const test::TempDirectory directory;
  const fs::path at = directory.path();
  const auto texts = test::mixed_texts(12);
  store(model, at / "float32", Stored::kFloat32);
  store(model, at / "bfloat16", Stored::kBfloat16);
  store(model, at / "one", Stored::kOneMatrixFloat32);
  auto float32 = make_engine(at / "float32"), bfloat16 = make_engine(at / "bfloat16"), one = make_engine(at / "one");
  const auto want = vectors(*float32, texts);
  EXPECT_EQ(vectors(*bfloat16, texts), want);
  EXPECT_EQ(vectors(*one, texts), want);
  EXPECT_LT(bfloat16->info().weight_bytes, float32->info().weight_bytes);
  EXPECT_EQ(one->info().weight_bytes, float32->info().weight_bytes);
}

}  // namespace
}  // namespace wde
