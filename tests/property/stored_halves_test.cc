// A checkpoint whose matrices are bfloat16 or float16 keeps them so in float32 too: the very bits of the same numbers
// in a float32 file, with half the memory. One matrix in float32 is enough for all to be kept in it.
#include <bit>
#include <cstring>
#include <fstream>

#include <nlohmann/json.hpp>

#include "golden/golden_files.h"
#include "kernels/gemm_bf16.h"
#include "kernels/gemm_f16.h"
#include "property/texts.h"
#include "unit/loader_files.h"

namespace wde {
namespace {

using test::make_engine;
using test::vectors;
namespace fs = std::filesystem;

enum class Stored { kFloat32, kHalves, kOneMatrixFloat32 };

// The 16 bits of a number near x, and that number.
std::pair<uint16_t, float> halved(float x, const std::string& dtype) {
  if (dtype == "BF16") {
    const uint16_t half = kernels::to_bf16(x);
    return {half, std::bit_cast<float>(uint32_t{half} << 16)};
  }
  const float cut = std::abs(x) < 0x1p-14f ? 0.0f : std::bit_cast<float>(std::bit_cast<uint32_t>(x) & 0xffffe000u);
  return {kernels::to_f16(cut), cut};
}

// A copy of the checkpoint, of which all matrices are such numbers and stored as is asked.
void store(const fs::path& from, const fs::path& to, Stored stored, const std::string& dtype) {
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
    const bool halves = matrix && (stored == Stored::kHalves || (stored == Stored::kOneMatrixFloat32 && kept_one));
    kept_one = kept_one || matrix;
    rewritten[name] = tensor;
    if (halves) rewritten[name]["dtype"] = dtype;
    for (size_t at = begin; at < end && matrix; at += 4) {
      float x = 0;
      std::memcpy(&x, file.data() + at, 4);
      const auto [half, value] = halved(x, dtype);
      if (halves) data.append(reinterpret_cast<const char*>(&half), sizeof(half));
      if (!halves) data.append(reinterpret_cast<const char*>(&value), sizeof(value));
    }
    if (!matrix) data.append(file, begin, end - begin);
    rewritten[name]["data_offsets"] = {first, data.size()};
  }
  std::ofstream(to / "model.safetensors", std::ios::binary) << test::safetensors(rewritten.dump(), data);
}

class StoredHalves : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Models, StoredHalves, ::testing::ValuesIn(test::embedders()),
                         [](const auto& test_info) { return test::test_name(test_info.param); });

TEST_P(StoredHalves, GiveTheBitsOfFloat32) {
  const fs::path model = test::checkpoint(GetParam());
  ASSERT_TRUE(fs::exists(model / "model.safetensors"));
  const auto texts = test::mixed_texts(12);
  for (const std::string dtype : {"BF16", "F16"}) {
    SCOPED_TRACE(dtype);
    const test::TempDirectory directory;
    const fs::path at = directory.path();
    store(model, at / "float32", Stored::kFloat32, dtype);
    store(model, at / "halves", Stored::kHalves, dtype);
    store(model, at / "one", Stored::kOneMatrixFloat32, dtype);
    auto float32 = make_engine(at / "float32"), halves = make_engine(at / "halves"), one = make_engine(at / "one");
    const auto want = vectors(*float32, texts);
    EXPECT_EQ(vectors(*halves, texts), want);
    EXPECT_EQ(vectors(*one, texts), want);
    EXPECT_EQ(halves->info().weight_bytes < float32->info().weight_bytes, kernels::widening_is_free());
    EXPECT_EQ(one->info().weight_bytes, float32->info().weight_bytes);
  }
}

}  // namespace
}  // namespace wde
