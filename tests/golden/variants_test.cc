// Golden checkpoints with other keys in their config.json, other heads and other modules, against what the reference
// answered; and those that are refused, by the key's name. make_variants.py says what lies in variants/.
#include <unistd.h>

#include "golden/golden_files.h"
#include "test_paths.h"

namespace wde {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

fs::path variants_home() { return fs::path(test::kData).parent_path() / "variants"; }

const json& variants() {
  static const json all = json::parse(std::ifstream(variants_home() / "variants.json")).at("variants");
  return all;
}

// The checkpoint as the variant changes it, in a directory of its own.
class Layout {
 public:
  explicit Layout(const json& variant)
      : home_(fs::temp_directory_path() /
              ("wde-variant-" + variant.at("name").get<std::string>() + "-" + std::to_string(::getpid()))) {
    fs::remove_all(home_);
    link_files(test::checkpoint(variant.at("model")));
    link_files(variants_home() / variant.at("name").get<std::string>());
    change_config(variant);
    if (fs::exists(home_ / "head.safetensors")) add_head();
  }
  ~Layout() { fs::remove_all(home_); }
  Layout(const Layout&) = delete;
  Layout& operator=(const Layout&) = delete;

  const fs::path& home() const { return home_; }

 private:
  void link_files(const fs::path& from) {
    if (!fs::exists(from)) return;
    for (const auto& entry : fs::recursive_directory_iterator(from)) {
      if (!entry.is_regular_file()) continue;
      const fs::path to = home_ / fs::relative(entry.path(), from);
      fs::create_directories(to.parent_path());
      fs::remove(to);
      fs::create_symlink(entry.path(), to);
    }
  }

  void change_config(const json& variant) {
    const fs::path file = home_ / "config.json";
    if (!fs::exists(file)) return;
    json config = json::parse(std::ifstream(file));
    config.update(variant.value("config", json::object()));
    const auto removed = variant.value("removed", std::vector<std::string>());
    for (const std::string& key : removed) config.erase(key);
    fs::remove(file);
    std::ofstream(file) << config;
  }

  // Its tensors are a second shard.
  void add_head() {
    json names = json::object();
    constexpr std::pair<const char*, const char*> kShards[] = {
        {"model.safetensors", "model-00001-of-00002.safetensors"},
        {"head.safetensors", "model-00002-of-00002.safetensors"}};
    for (const auto& [file, shard] : kShards) {
      fs::rename(home_ / file, home_ / shard);
      const SafetensorsFile opened((home_ / shard).string());
      for (const auto& [name, tensor] : opened.tensors()) names[name] = shard;
    }
    std::ofstream(home_ / "model.safetensors.index.json") << json{{"weight_map", names}};
  }

  fs::path home_;
};

std::unique_ptr<Engine> engine_of(const json& variant, const Layout& layout, const test::Settings& more) {
  test::Settings settings = {{"task", variant.at("task").get<std::string>()}};
  const json own = variant.value("settings", json::object());
  for (const auto& [name, value] : own.items()) settings.emplace_back(name, value.get<std::string>());
  settings.insert(settings.end(), more.begin(), more.end());
  return test::make_engine(layout.home(), settings);
}

std::vector<Request> requests_of(const json& variant) {
  std::vector<Request> out;
  for (const json& input : variant.at("inputs")) {
    if (input.is_string())
      out.push_back({input.get<std::string>()});
    else
      out.push_back({TextPair{input.at(0).get<std::string>(), input.at(1).get<std::string>()}});
  }
  return out;
}

// The output in the form that was recorded: a vocabulary's weights in their places, of hidden states some rows.
std::vector<float> recorded_form(const json& variant, size_t input, const Output& output, size_t size) {
  if (!output.ids.empty()) {
    std::vector<float> out(size);
    for (size_t i = 0; i < output.ids.size(); ++i) out.at(static_cast<size_t>(output.ids[i])) = output.values[i];
    return out;
  }
  if (!variant.contains("rows")) return output.values;
  std::vector<float> out;
  for (const size_t row : variant.at("rows").at(input)) {
    const auto begin = output.values.begin() + static_cast<ptrdiff_t>(row * output.shape.at(1));
    out.insert(out.end(), begin, begin + static_cast<ptrdiff_t>(output.shape.at(1)));
  }
  return out;
}

void expect_answers(const json& variant, const test::Settings& settings) {
  constexpr double kTolerance = 2e-5;
  static const SafetensorsFile golden((variants_home() / "golden.safetensors").string());
  const Layout layout(variant);
  const auto engine = engine_of(variant, layout, settings);
  EXPECT_TRUE(engine->info().unused_tensors.empty()) << engine->info().unused_tensors.front();
  const auto responses = test::respond(*engine, requests_of(variant));
  for (size_t i = 0; i < responses.size(); ++i) {
    const TensorView& tensor = golden.tensors().at(variant.at("name").get<std::string>() + "." + std::to_string(i));
    std::vector<float> want(tensor.elements());
    to_float32(tensor, 0, want.size(), want.data());
    const auto output = std::find_if(responses[i].outputs.begin(), responses[i].outputs.end(),
                                     [&](const Output& o) { return o.name == variant.at("output"); });
    ASSERT_NE(output, responses[i].outputs.end());
    EXPECT_LE(test::difference(recorded_form(variant, i, *output, want.size()), want), kTolerance) << "input " << i;
  }
}

void expect_refusal(const json& variant) {
  const Layout layout(variant);
  try {
    engine_of(variant, layout, {});
  } catch (const std::exception& error) {
    EXPECT_NE(std::string(error.what()).find(variant.at("refused").get<std::string>()), std::string::npos)
        << error.what();
    return;
  }
  ADD_FAILURE() << "loaded";
}

class Variants : public ::testing::TestWithParam<size_t> {};
INSTANTIATE_TEST_SUITE_P(All, Variants, ::testing::Range(size_t{0}, variants().size()), [](const auto& test_info) {
  return test::test_name(variants().at(test_info.param).at("name"));
});

TEST_P(Variants, Answers) {
  const json& variant = variants().at(GetParam());
  if (variant.contains("refused")) return expect_refusal(variant);
  expect_answers(variant, {});
}

TEST_P(Variants, AnswersOfOtherModules) {
  const json& variant = variants().at(GetParam());
  if (variant.contains("refused")) return;
  expect_answers(variant, {{"attn-backend", "naive"}, {"executor", "tensor_parallel"}, {"workers", "2"}});
}

}  // namespace
}  // namespace wde
