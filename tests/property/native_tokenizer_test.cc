// The native tokenizer against the crate: the same sequences and the same errors, whatever the text.
// WDE_TOKENIZER_STRINGS: how many texts for each tokenizer (default 600); WDE_TOKENIZER_MODELS: directories besides
// those of the golden tests, separated by colons.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <thread>

#include "property/varied_texts.h"
#include "test_paths.h"
#include "tokenizer/tokenizer.h"

namespace wde {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct Pair {
  std::unique_ptr<Tokenizer> crate, native;
  std::string family;
};

Pair open_both(const fs::path& directory, bool lowercase = false, bool special_tokens = true) {
  const TokenizerConfig config{directory.string(), lowercase, 1, special_tokens};
  return {tokenizers().get("hf")(config), tokenizers().get("native")(config),
          json::parse(read_file(directory / "tokenizer.json")).at("model").at("type")};
}

// Words of the golden inputs, and pieces of the vocabulary.
std::vector<std::string> words_for(const Tokenizer& tokenizer) {
  std::vector<std::string> words;
  const json golden = json::parse(read_file(fs::path(test::kData) / "bert-mean" / "golden.json"));
  for (const json& input : golden.at("inputs")) {
    std::istringstream text(input.is_string() ? input.get<std::string>() : input.at(0).get<std::string>());
    for (std::string word; words.size() < 1500 && text >> word;) words.push_back(word);
  }
  const size_t size = tokenizer.vocabulary_size();
  for (size_t id = 0; id < size; id += 1 + size / 1500) {
    std::string piece = tokenizer.token(static_cast<int32_t>(id));
    for (const std::string_view mark : {"##", "\xE2\x96\x81"}) {
      if (piece.starts_with(mark)) piece.erase(0, mark.size());
    }
    if (!piece.empty()) words.push_back(piece);
  }
  return words;
}

TokenizeJob make_job(test::VariedTexts& texts) {
  TokenizeJob job;
  job.text = texts.text();
  job.is_pair = texts.below(4) == 0;
  if (job.is_pair) job.text_pair = texts.below(8) == 0 ? job.text : texts.text();
  job.prompt_tokens = texts.below(3);
  job.options.truncation =
      std::array{Truncation::kRight, Truncation::kRight, Truncation::kLeft, Truncation::kRefuse}[texts.below(4)];
  if (texts.below(4) == 0) job.options.max_length = 1 + texts.below(24);
  return job;
}

std::string show(const Result<Sequence>& result) {
  if (!result.ok()) return result.error().message;
  const Sequence& s = result.value();
  return json{{"ids", s.ids},
              {"types", s.type_ids},
              {"special", s.special_tokens_mask},
              {"truncated", s.truncated},
              {"prompt", s.prompt_tokens},
              {"max_length", s.options.max_length},
              {"offsets", s.offsets.size()}}
      .dump();
}

std::string bytes_of(std::string_view text) {
  std::string out;
  for (const char c : text)
    out += c >= 32 && c < 127 && c != '\\' ? std::string(1, c) : "\\x" + [&] {
      static constexpr char kDigits[] = "0123456789ABCDEF";
      const auto byte = static_cast<uint8_t>(c);
      return std::string{kDigits[byte >> 4], kDigits[byte & 15]};
    }();
  return out;
}

std::map<std::string, size_t> compared;  // family -> texts

void expect_equal(const Pair& pair, uint64_t seed) {
  const char* const wanted = std::getenv("WDE_TOKENIZER_STRINGS");
  const size_t count = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 600;
  test::VariedTexts texts(seed, words_for(*pair.crate));
  size_t differences = 0;
  for (size_t i = 0; i < count && differences < 5; ++i) {
    const TokenizeJob job = make_job(texts);
    const size_t max_length = texts.below(3) == 0 ? 0 : 1 + texts.below(40);
    const bool want_offsets = texts.below(50) == 0;
    const std::string expected = show(pair.crate->encode({&job, 1}, max_length, want_offsets).at(0));
    const std::string found = show(pair.native->encode({&job, 1}, max_length, want_offsets).at(0));
    if (found == expected) continue;
    ++differences;
    ADD_FAILURE() << "text " << bytes_of(job.text) << "\npair " << bytes_of(job.text_pair) << "\nmaximum " << max_length
                  << "\n  crate  " << expected << "\n  native " << found;
  }
  compared[pair.family] += count;
}

TEST(NativeTokenizer, EqualsTheCrate) {
  std::vector<fs::path> directories;
  for (const auto& entry : fs::directory_iterator(test::kData)) directories.push_back(entry.path());
  std::sort(directories.begin(), directories.end());
  if (const char* more = std::getenv("WDE_TOKENIZER_MODELS")) {
    std::istringstream list(more);
    for (std::string one; std::getline(list, one, ':');) directories.emplace_back(one);
  }
  std::set<std::string> seen;
  size_t families = 0;
  for (const fs::path& directory : directories) {
    const std::string content = read_file(directory / "tokenizer.json");
    if (content.empty() || !seen.insert(content).second) continue;
    std::string name = "auto";
    open_tokenizer(name, {directory.string(), false, 1, true});
    if (name != "native") continue;
    SCOPED_TRACE(directory.filename().string());
    ++families;
    expect_equal(open_both(directory), families);
    expect_equal(open_both(directory, false, false), 100 + families);
  }
  EXPECT_GE(families, 6u);
  EXPECT_EQ(compared.size(), 2u) << "only one family was there";
}

// More words than the cache holds, asked for by several threads.
TEST(NativeTokenizer, ManyWordsOnManyThreads) {
  const Pair pair = open_both(fs::path(test::kData) / "bge-m3");
  std::vector<TokenizeJob> jobs(200);
  size_t number = 0;
  for (TokenizeJob& job : jobs) {
    for (int i = 0; i < 120; ++i) job.text += "\xC3\xA9" + std::to_string(number++ * 7919 % 20011) + " ";
  }
  std::vector<std::string> expected;
  for (const auto& result : pair.crate->encode(jobs, 0, false)) expected.push_back(show(result));
  std::vector<size_t> wrong(4, 0);
  std::vector<std::thread> threads;
  for (size_t& count : wrong) {
    threads.emplace_back([&] {
      const auto results = pair.native->encode(jobs, 0, false);
      for (size_t i = 0; i < jobs.size(); ++i) count += show(results[i]) == expected[i] ? 0 : 1;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<size_t>(4, 0));
}

// tokenizer.json of a golden checkpoint, changed.
class NativeVariant : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "wde-native-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { fs::remove_all(directory_); }

  static json base(const char* checkpoint) {
    return json::parse(read_file(fs::path(test::kData) / checkpoint / "tokenizer.json"));
  }
  void write(const json& tokenizer) {
    std::ofstream(directory_ / "tokenizer.json", std::ios::binary) << tokenizer.dump();
  }
  void expect_equal_with(const json& tokenizer, uint64_t seed) {
    write(tokenizer);
    expect_equal(open_both(directory_), seed);
  }
  std::string taken(const json& tokenizer) {
    write(tokenizer);
    std::string name = "auto";
    open_tokenizer(name, {directory_.string(), false, 1, true});
    return name;
  }

  fs::path directory_;
};

TEST_F(NativeVariant, BertNormalizers) {
  const json bert = base("bert-mean");
  uint64_t seed = 1000;
  expect_equal(open_both(fs::path(test::kData) / "bert-cls", true), seed);  // a Lowercase before it
  for (const char* key : {"clean_text", "handle_chinese_chars", "strip_accents", "lowercase"}) {
    SCOPED_TRACE(key);
    json changed = bert;
    changed["normalizer"][key] = false;
    expect_equal_with(changed, ++seed);
  }
  json changed = bert;
  changed["model"]["max_input_chars_per_word"] = 9;
  changed["post_processor"] = {{"type", "BertProcessing"}, {"sep", {"[SEP]", 3}}, {"cls", {"[CLS]", 2}}};
  expect_equal_with(changed, ++seed);
  changed["post_processor"] = nullptr;
  expect_equal_with(changed, ++seed);
}

TEST_F(NativeVariant, UnigramNormalizers) {
  const json unigram = base("bge-m3");
  const json precompiled = unigram["normalizer"]["normalizers"][0];
  const json metaspace = unigram["pre_tokenizer"];
  json splits = unigram;  // as XLM-RoBERTa's own and multilingual-e5's
  splits["normalizer"] = precompiled;
  splits["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {{{"type", "WhitespaceSplit"}}, metaspace}}};
  splits["post_processor"] = {{"type", "RobertaProcessing"},
                              {"sep", {"</s>", 2}},
                              {"cls", {"<s>", 0}},
                              {"trim_offsets", true},
                              {"add_prefix_space", true}};
  expect_equal_with(splits, 2001);
  json strips = unigram;  // as newer conversions
  strips["normalizer"]["normalizers"] = {
      precompiled,
      {{"type", "Strip"}, {"strip_left", false}, {"strip_right", true}},
      {{"type", "Replace"}, {"pattern", {{"Regex", " {2,}"}}}, {"content", "\xE2\x96\x81"}}};
  expect_equal_with(strips, 2002);
}

TEST_F(NativeVariant, UnigramBytes) {
  json changed = base("bge-m3");
  changed["model"]["byte_fallback"] = true;
  expect_equal_with(changed, 5001);  // there are no pieces for bytes
  for (int byte = 0; byte < 256; ++byte) changed["model"]["vocab"].push_back({fmt::format("<0x{:02X}>", byte), -9.0});
  expect_equal_with(changed, 5002);
  EXPECT_EQ(taken(changed), "native");
}

// Scores that tie, and scores under which unknown characters win over known pieces.
TEST_F(NativeVariant, UnigramScores) {
  json changed = base("bge-m3");
  for (auto& piece : changed["model"]["vocab"]) piece[1] = -1.0;
  expect_equal_with(changed, 3001);
  // Single characters are missing, which two unknown ones outdo what they are together.
  json pieces = json::array();
  for (const auto& piece : changed["model"]["vocab"]) {
    const std::string text = piece[0];
    if (text != "e" && text != "t" && text != "n")
      pieces.push_back({text, 40.0 + static_cast<double>(pieces.size() % 7)});
  }
  changed["model"]["vocab"] = pieces;
  expect_equal_with(changed, 3002);
}

TEST_F(NativeVariant, AddedTokens) {
  uint64_t seed = 4000;
  for (const char* checkpoint : {"bert-mean", "bge-m3"}) {
    SCOPED_TRACE(checkpoint);
    json changed = base(checkpoint);
    for (auto& token : changed["added_tokens"]) token["normalized"] = true;
    expect_equal_with(changed, ++seed);
    const size_t id = changed["model"]["vocab"].size();
    for (auto& token : changed["added_tokens"]) token["normalized"] = false;
    changed["added_tokens"].push_back({{"id", id},
                                       {"content", "the"},
                                       {"single_word", true},
                                       {"lstrip", true},
                                       {"rstrip", true},
                                       {"normalized", false},
                                       {"special", false}});
    changed["added_tokens"].push_back({{"id", id + 1},
                                       {"content", "Of \xC3\xA9"},
                                       {"single_word", false},
                                       {"lstrip", false},
                                       {"rstrip", false},
                                       {"normalized", false},
                                       {"special", false}});
    expect_equal_with(changed, ++seed);
    changed["added_tokens"].back()["normalized"] = true;
    expect_equal_with(changed, ++seed);
  }
}

TEST_F(NativeVariant, OthersAreLeftToTheCrate) {
  const json bert = base("bert-mean"), unigram = base("bge-m3");
  EXPECT_EQ(taken(bert), "native");
  EXPECT_EQ(taken(unigram), "native");
  EXPECT_EQ(taken(base("roberta-mean")), "hf");
  EXPECT_THROW(open_both(directory_), LoadError);
  json changed = bert;
  changed["pre_tokenizer"] = {{"type", "Whitespace"}};
  EXPECT_EQ(taken(changed), "hf");
  changed = bert;
  changed["normalizer"] = {{"type", "NFC"}};
  EXPECT_EQ(taken(changed), "hf");
  changed = unigram;
  changed["pre_tokenizer"]["prepend_scheme"] = "first";
  EXPECT_EQ(taken(changed), "hf");
  changed = unigram;
  changed["normalizer"] = unigram["normalizer"]["normalizers"][0];  // several blanks stay so
  EXPECT_EQ(taken(changed), "hf");
  changed = unigram;
  changed["model"]["vocab"].push_back(changed["model"]["vocab"][5]);  // a piece that is there already
  EXPECT_EQ(taken(changed), "hf");
  changed = unigram;
  changed["post_processor"] = {{"type", "Sequence"}, {"processors", {unigram["post_processor"]}}};
  EXPECT_EQ(taken(changed), "hf");
}

// Says at the end of a run how many texts of each family were compared.
class Count final : public testing::Environment {
  void TearDown() override {
    for (const auto& [family, count] : compared) std::cout << family << ": " << count << " texts compared\n";
  }
};
const auto* const kCount = testing::AddGlobalTestEnvironment(new Count);

}  // namespace
}  // namespace wde
