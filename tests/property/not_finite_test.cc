// A weight that is no number makes an error of every text that it reaches, whatever stands between it and the answer:
// activations, soft caps, maxima, what is cut off. Never a finite answer that is another than without it.
#include <unistd.h>

#include <cctype>
#include <cstring>
#include <limits>
#include <map>

#include "golden/golden_files.h"

namespace wde {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::Golden;

// A checkpoint whose tensors can be filled with one number.
class Poisoned {
 public:
  explicit Poisoned(const fs::path& checkpoint)
      : home_(fs::temp_directory_path() / fmt_name(checkpoint)), weights_(home_ / "model.safetensors") {
    fs::remove_all(home_);
    for (const auto& entry : fs::recursive_directory_iterator(checkpoint)) {
      if (!entry.is_regular_file()) continue;
      const fs::path to = home_ / fs::relative(entry.path(), checkpoint);
      fs::create_directories(to.parent_path());
      fs::create_symlink(entry.path(), to);
    }
    std::ifstream in(weights_, std::ios::binary);
    content_.assign(std::istreambuf_iterator<char>(in), {});
    if (content_.size() < 8) return;
    uint64_t size = 0;
    std::memcpy(&size, content_.data(), 8);
    header_ = json::parse(content_.substr(8, size));
    data_ = 8 + size;
  }
  ~Poisoned() { fs::remove_all(home_); }
  Poisoned(const Poisoned&) = delete;
  Poisoned& operator=(const Poisoned&) = delete;

  const fs::path& home() const { return home_; }

  // Of every kind of tensor ("layer.3.x" and "layer.2.x" are one) the last one, at most `most` kinds.
  std::vector<std::string> some_tensors(size_t most) const {
    std::map<std::string, std::string> kinds;
    for (const auto& [name, entry] : header_.items()) {
      std::string kind = name;
      std::replace_if(
          kind.begin(), kind.end(), [](unsigned char c) { return std::isdigit(c) != 0; }, '#');
      if (name != "__metadata__" && (entry["dtype"] == "F32" || entry["dtype"] == "F16")) kinds[kind] = name;
    }
    std::vector<std::string> all, out;
    for (const auto& [kind, name] : kinds) all.push_back(name);
    const size_t count = std::min(most, all.size());
    for (size_t i = 0; i < count; ++i) out.push_back(all[i * all.size() / count]);
    return out;
  }

  void fill(const std::string& name, float value) const {
    std::string changed = content_;
    const json& entry = header_.at(name);
    const size_t begin = data_ + entry["data_offsets"][0].get<size_t>(),
                 end = data_ + entry["data_offsets"][1].get<size_t>();
    const uint16_t half = std::isnan(value) ? 0x7E00 : value > 0 ? 0x7C00 : 0xFC00;
    const bool halves = entry["dtype"] == "F16";
    const size_t width = halves ? 2 : 4;
    for (size_t at = begin; at < end; at += width)
      std::memcpy(changed.data() + at, halves ? static_cast<const void*>(&half) : &value, width);
    fs::remove(weights_);
    std::ofstream(weights_, std::ios::binary) << changed;
  }

 private:
  static std::string fmt_name(const fs::path& checkpoint) {
    return "wde-not-finite-" + checkpoint.filename().string() + "-" + std::to_string(::getpid());
  }
  fs::path home_, weights_;
  std::string content_;
  json header_ = json::object();
  size_t data_ = 0;
};

using Answers = std::vector<Result<Response>>;

Answers answers(const fs::path& model, const Golden& golden, const test::Settings& settings) {
  const auto engine = test::make_engine(model, settings);
  Answers out;
  for (size_t i = 0; i < std::min<size_t>(2, golden.inputs.size()); ++i)
    out.push_back(engine->submit(golden.inputs[i]).get());
  return out;
}

bool same(const Response& a, const Response& b) {
  return a.outputs.size() == b.outputs.size() &&
         std::equal(a.outputs.begin(), a.outputs.end(), b.outputs.begin(),
                    [](const Output& x, const Output& y) { return x.values == y.values && x.ids == y.ids; });
}

void expect_no_number(const fs::path& checkpoint, const test::Settings& more, size_t most) {
  EngineArgs args;
  args.set("model", checkpoint.string());
  const Golden golden(checkpoint);
  test::Settings settings = {{"task", inspect_model(args).default_task}, {"executor", "sync"}, {"template", "none"}};
  settings.insert(settings.end(), more.begin(), more.end());
  const Poisoned poisoned(checkpoint);
  const Answers whole = answers(checkpoint, golden, settings);
  size_t errors = 0;
  const float inf = std::numeric_limits<float>::infinity();
  for (const std::string& name : poisoned.some_tensors(most)) {
    for (const float value : {std::numeric_limits<float>::quiet_NaN(), -inf}) {
      poisoned.fill(name, value);
      const Answers got = answers(poisoned.home(), golden, settings);
      for (size_t i = 0; i < got.size(); ++i) {
        if (got[i].ok()) {
          EXPECT_TRUE(whole[i].ok() && same(got[i].value(), whole[i].value()))
              << name << " is " << value << ", and input " << i << " has another answer";
          continue;
        }
        ++errors;
        const std::string expected = whole[i].ok() ? "not finite" : whole[i].error().message;
        EXPECT_NE(got[i].error().message.find(expected), std::string::npos) << got[i].error().message;
      }
    }
  }
  EXPECT_EQ(errors == 0, poisoned.some_tensors(1).empty());
}

class NotFinite : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Models, NotFinite, ::testing::ValuesIn(test::checkpoints()),
                         [](const auto& test_info) { return test::test_name(test_info.param); });

TEST_P(NotFinite, WeightsAreNoAnswers) { expect_no_number(test::checkpoint(GetParam()), {}, 10); }

TEST(NotFinite, MaximumPooling) { expect_no_number(test::checkpoint("bert-mean"), {{"pooling", "max"}}, 40); }
TEST(NotFinite, Int8) { expect_no_number(test::checkpoint("bert-mean"), {{"dtype", "int8"}}, 40); }
TEST(NotFinite, Bfloat16) { expect_no_number(test::checkpoint("bert-splade"), {{"dtype", "bfloat16"}}, 40); }
TEST(NotFinite, Hidden) { expect_no_number(test::checkpoint("bert-mean"), {{"task", "token_embed"}}, 40); }

}  // namespace
}  // namespace wde
