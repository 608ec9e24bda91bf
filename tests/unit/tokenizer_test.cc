// The "hf" tokenizer against the reference's ids and against bad input. Checkpoints come from WDE_TEST_DATA.
#include "tokenizer/tokenizer.h"
#include "test_paths.h"
#include "tokenizer/known_tokens.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

namespace wde {
namespace {

namespace fs = std::filesystem;

std::unique_ptr<Tokenizer> open_directory(const fs::path& directory, size_t threads = 1) {
  return tokenizers().get("hf")({directory.string(), false, threads});
}

std::unique_ptr<Tokenizer> open_checkpoint(const std::string& name, size_t threads = 1) {
  return open_directory(fs::path(test::kData) / name, threads);
}

TokenizeJob text_job(std::string text) {
  TokenizeJob job;
  job.text = std::move(text);
  return job;
}

TokenizeJob pair_job(std::string text, std::string pair) {
  TokenizeJob job = text_job(std::move(text));
  job.text_pair = std::move(pair);
  job.is_pair = true;
  return job;
}

TokenizeJob ids_job(std::vector<int32_t> ids) {
  TokenizeJob job;
  job.has_ids = true;
  job.ids = std::move(ids);
  return job;
}

Result<Sequence> encode_one(const Tokenizer& tokenizer, const TokenizeJob& job, size_t max_length = 0,
                            bool want_offsets = false) {
  auto results = tokenizer.encode({&job, 1}, max_length, want_offsets);
  EXPECT_EQ(results.size(), 1u);
  return std::move(results.at(0));
}

// The sequence, or a failed test and an empty one.
Sequence must_encode(const Tokenizer& tokenizer, const TokenizeJob& job, size_t max_length = 0,
                     bool want_offsets = false) {
  Result<Sequence> result = encode_one(tokenizer, job, max_length, want_offsets);
  if (!result.ok()) {
    ADD_FAILURE() << result.error().message;
    return {};
  }
  const Sequence& sequence = result.value();
  EXPECT_EQ(sequence.type_ids.size(), sequence.size());
  EXPECT_EQ(sequence.special_tokens_mask.size(), sequence.size());
  EXPECT_EQ(sequence.offsets.size(), want_offsets ? sequence.size() : 0);
  return sequence;
}

void expect_invalid(const Result<Sequence>& result, const std::string& part_of_message,
                    ErrorCode code = ErrorCode::kInvalidInput) {
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, code);
  EXPECT_NE(result.error().message.find(part_of_message), std::string::npos) << result.error().message;
}

// A directory under the system's temporary one, removed with the value.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (fs::temp_directory_path() / "wde-tokenizer-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = name;
  }
  ~TemporaryDirectory() { fs::remove_all(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const fs::path& path() const { return path_; }
  void write(const std::string& name, const std::string& content) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
  }

 private:
  fs::path path_;
};

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string load_error(const fs::path& directory) {
  try {
    open_directory(directory);
  } catch (const LoadError& error) {
    return error.what();
  }
  return "";
}

TEST(Tokenizer, GoldenIds) {
  size_t checkpoints = 0;
  for (const auto& entry : fs::directory_iterator(test::kData)) {
    if (!fs::exists(entry.path() / "tokenizer.json") || !fs::exists(entry.path() / "golden.json")) continue;
    if (fs::exists(entry.path() / "llm2vec_config.json")) continue;  // its texts are rewritten before (golden_test.cc)
    SCOPED_TRACE(entry.path().filename().string());
    ++checkpoints;
    const auto golden = nlohmann::json::parse(read_file(entry.path() / "golden.json"));
    std::vector<TokenizeJob> jobs;
    for (const auto& input : golden.at("inputs")) {
      if (input.is_object()) break;  // images, which come last
      jobs.push_back(input.is_string() ? text_job(input) : pair_job(input.at(0), input.at(1)));
    }
    for (std::string name : {"hf", "auto"}) {
      SCOPED_TRACE(name);
      auto tokenizer = open_tokenizer(name, {entry.path().string(), false, 2, golden.value("special_tokens", true)});
      if (golden.contains("left_out"))  // model2vec
        tokenizer = make_known_tokens(std::move(tokenizer), golden.at("left_out").get<int32_t>());
      const auto results = tokenizer->encode(jobs, golden.value("max_length", size_t{0}), false);
      ASSERT_EQ(results.size(), jobs.size());
      for (size_t i = 0; i < jobs.size(); ++i) {
        ASSERT_TRUE(results[i].ok()) << i << ": " << results[i].error().message;
        EXPECT_EQ(results[i].value().ids, golden.at("ids").at(i).get<std::vector<int32_t>>()) << "input " << i;
      }
    }
  }
  EXPECT_GT(checkpoints, 0u) << "no checkpoints in " << test::kData;
}

TEST(Tokenizer, PairsOfBert) {
  const auto tokenizer = open_checkpoint("bert-mean");
  const Sequence first = must_encode(*tokenizer, text_job("hello"));
  const Sequence second = must_encode(*tokenizer, text_job("big world"));
  const Sequence pair = must_encode(*tokenizer, pair_job("hello", "big world"), 0, true);
  std::vector<int32_t> expected = first.ids;
  expected.insert(expected.end(), second.ids.begin() + 1, second.ids.end());
  EXPECT_EQ(pair.ids, expected);
  for (size_t i = 0; i < pair.size(); ++i) EXPECT_EQ(pair.type_ids[i], i < first.size() ? 0 : 1) << i;
  std::vector<uint8_t> mask = first.special_tokens_mask;
  mask.insert(mask.end(), second.special_tokens_mask.begin() + 1, second.special_tokens_mask.end());
  EXPECT_EQ(pair.special_tokens_mask, mask);
  EXPECT_EQ(pair.offsets[first.size()].begin, 0u) << "the second part's offsets start anew";
}

TEST(Tokenizer, PairWithEmptyParts) {
  const auto tokenizer = open_checkpoint("bert-mean");
  EXPECT_EQ(must_encode(*tokenizer, pair_job("", "")).size(), 3u);
  EXPECT_EQ(must_encode(*tokenizer, pair_job("", ""), 3).size(), 3u);
}

TEST(Tokenizer, TruncationKeepsSpecialTokens) {
  const auto tokenizer = open_checkpoint("bert-mean");
  const TokenizeJob job = text_job("The quick brown fox jumps over the lazy dog.");
  const Sequence full = must_encode(*tokenizer, job);
  EXPECT_FALSE(full.truncated);
  for (size_t max_length = 2; max_length <= full.size() + 1; ++max_length) {
    SCOPED_TRACE(max_length);
    const Sequence cut = must_encode(*tokenizer, job, max_length);
    EXPECT_EQ(cut.truncated, max_length < full.size());
    ASSERT_EQ(cut.size(), std::min(max_length, full.size()));
    EXPECT_TRUE(std::equal(cut.ids.begin(), cut.ids.end() - 1, full.ids.begin()));
    EXPECT_EQ(cut.ids.back(), full.ids.back());
    EXPECT_EQ(cut.special_tokens_mask.back(), 1);
  }
}

TEST(Tokenizer, PairIsCutLongestFirst) {
  const auto tokenizer = open_checkpoint("bert-mean");
  std::string words;
  for (int i = 0; i < 40; ++i) words += "a ";
  auto count = [&](const std::string& text, const std::string& pair, size_t max_length) {
    const Sequence sequence = must_encode(*tokenizer, pair_job(text, pair), max_length);
    EXPECT_TRUE(sequence.truncated);
    EXPECT_EQ(sequence.size(), max_length);
    std::pair<size_t, size_t> lengths;
    for (size_t i = 0; i < sequence.size(); ++i) {
      if (sequence.special_tokens_mask[i] == 0) ++(sequence.type_ids[i] == 0 ? lengths.first : lengths.second);
    }
    return lengths;
  };
  using Lengths = std::pair<size_t, size_t>;
  EXPECT_EQ(count("a a", words, 13), (Lengths{2, 8}));
  EXPECT_EQ(count(words, "a a", 13), (Lengths{8, 2}));
  EXPECT_EQ(count(words, words, 13), (Lengths{5, 5}));
  EXPECT_EQ(count(words, words, 14), (Lengths{5, 6}));
  EXPECT_EQ(count(words, "a a a a a a a a", 14), (Lengths{6, 5}));
  EXPECT_EQ(count(words, words, 3), (Lengths{0, 0}));
}

TEST(Tokenizer, TooSmallMaxLength) {
  const auto tokenizer = open_checkpoint("bert-mean");
  expect_invalid(encode_one(*tokenizer, text_job("hello"), 1), "2 special tokens");
  expect_invalid(encode_one(*tokenizer, pair_job("hello", "world"), 2), "3 special tokens");
}

TEST(Tokenizer, EmptyText) {
  const Sequence sequence = must_encode(*open_checkpoint("bert-mean"), text_job(""), 128, true);
  EXPECT_EQ(sequence.size(), 2u);
  EXPECT_EQ(sequence.special_tokens_mask, (std::vector<uint8_t>{1, 1}));
}

TEST(Tokenizer, NoJobs) { EXPECT_TRUE(open_checkpoint("bert-mean")->encode({}, 128, true).empty()); }

TEST(Tokenizer, NulByteIsACharacter) {
  const std::string text("one\0two", 7);
  // BERT's normalizer removes it; a byte-level vocabulary has a token for it. Neither ends the text there.
  const auto bert = open_checkpoint("bert-mean");
  EXPECT_EQ(must_encode(*bert, text_job(text)).ids, must_encode(*bert, text_job("onetwo")).ids);
  const auto roberta = open_checkpoint("roberta-mean");
  const Sequence sequence = must_encode(*roberta, text_job(text), 0, true);
  EXPECT_EQ(sequence.offsets.at(sequence.size() - 2).end, 7u);
}

TEST(Tokenizer, InvalidUtf8HurtsNobodyElse) {
  const auto tokenizer = open_checkpoint("bert-mean", 4);
  std::string filler;  // enough text for all four threads
  for (int i = 0; i < 1000; ++i) filler += "hello ";
  std::vector<TokenizeJob> jobs(8, text_job(filler));
  const Sequence expected = must_encode(*tokenizer, jobs[0], 64);
  jobs[1] = text_job("ab\xC3(");
  jobs[3] = text_job("\xED\xA0\x80");  // a surrogate
  jobs[4] = pair_job("fine", "cut short \xE4\xB8");
  jobs[6] = pair_job("\xFF", "fine");
  const auto results = tokenizer->encode(jobs, 64, false);
  ASSERT_EQ(results.size(), jobs.size());
  expect_invalid(results[1], "0xC3 at position 2");
  expect_invalid(results[3], "0xED at position 0");
  expect_invalid(results[4], "the pair's second text is not valid UTF-8: bad byte 0xE4 at position 10");
  expect_invalid(results[6], "the pair's first text");
  for (size_t i : {0, 2, 5, 7}) {
    ASSERT_TRUE(results[i].ok()) << i;
    EXPECT_EQ(results[i].value().ids, expected.ids) << i;
  }
}

TEST(Tokenizer, LiteralSpecialTokensAreParsed) {
  const auto tokenizer = open_checkpoint("bert-mean");
  const Sequence sequence = must_encode(*tokenizer, text_job("[SEP] [CLS]"));
  ASSERT_EQ(sequence.size(), 4u);
  EXPECT_EQ(sequence.ids[1], sequence.ids[3]);
  EXPECT_EQ(sequence.ids[2], sequence.ids[0]);
  EXPECT_EQ(sequence.special_tokens_mask, (std::vector<uint8_t>{1, 0, 0, 1})) << "only added ones are marked";
}

TEST(Tokenizer, OffsetsAreBytesOfTheText) {
  const std::string text =
      "\xC3\x9C"
      "ber caf\xC3\xA9  \xE4\xB8\xAD!";
  for (const char* name : {"bert-mean", "roberta-mean"}) {
    SCOPED_TRACE(name);
    const Sequence sequence = must_encode(*open_checkpoint(name), text_job(text), 0, true);
    uint32_t reached = 0;
    for (size_t i = 0; i < sequence.size(); ++i) {
      const Offset offset = sequence.offsets[i];
      if (sequence.special_tokens_mask[i] == 1) {
        EXPECT_EQ(offset.end, 0u);
        continue;
      }
      ASSERT_LE(offset.begin, offset.end);
      ASSERT_LE(offset.end, text.size());
      reached = std::max(reached, offset.end);
    }
    EXPECT_EQ(reached, text.size());
    EXPECT_EQ(sequence.offsets.at(1).begin, 0u);
    const Offset last = sequence.offsets.at(sequence.size() - 2);
    EXPECT_EQ(text.substr(last.begin, last.end - last.begin), "!");
  }
}

TEST(Tokenizer, SameIdsWithAndWithoutOffsets) {
  for (const char* name : {"bert-mean", "roberta-mean", "xlm-roberta-cls"}) {
    const auto tokenizer = open_checkpoint(name);
    for (const TokenizeJob& job : {text_job("Hello, w\xC3\xB6rld <mask>"), pair_job("Hello", "again and again")}) {
      for (size_t max_length : {0, 6, 7}) {
        const Sequence with = must_encode(*tokenizer, job, max_length, true);
        const Sequence without = must_encode(*tokenizer, job, max_length, false);
        EXPECT_EQ(with.ids, without.ids);
        EXPECT_EQ(with.type_ids, without.type_ids);
        EXPECT_EQ(with.special_tokens_mask, without.special_tokens_mask);
      }
    }
  }
}

TEST(Tokenizer, ManyThreadsWithDifferentLengths) {
  const auto tokenizer = open_checkpoint("roberta-mean", 2);
  std::vector<TokenizeJob> jobs;
  for (int i = 0; i < 24; ++i) {
    std::string text;
    for (int k = 0; k < 60 + 7 * i; ++k) text += "word" + std::to_string(k * i) + " ";
    jobs.push_back(i % 3 == 0 ? pair_job(text, "a short one") : text_job(text));
  }
  std::vector<std::vector<std::vector<int32_t>>> expected(8);
  for (size_t t = 0; t < 8; ++t) {
    for (const TokenizeJob& job : jobs) expected[t].push_back(must_encode(*tokenizer, job, 8 + 9 * t).ids);
  }
  std::vector<size_t> wrong(8, 0);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < 3; ++round) {
        const auto results = tokenizer->encode(jobs, 8 + 9 * t, round == 1);
        for (size_t i = 0; i < jobs.size(); ++i) {
          if (!results[i].ok() || results[i].value().ids != expected[t][i]) ++wrong[t];
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<size_t>(8, 0));
}

TEST(Tokenizer, DamagedTokenizerJson) {
  const std::string good = read_file(fs::path(test::kData) / "bert-mean" / "tokenizer.json");
  ASSERT_FALSE(good.empty());
  TemporaryDirectory directory;
  std::string flipped = good;
  flipped[flipped.find("\"vocab\"") + 1] = 'X';
  for (const std::string& content : {std::string(), good.substr(0, good.size() / 2), good.substr(0, good.size() - 1),
                                     flipped, std::string("null"), std::string("{}"), std::string(100, '\0')}) {
    directory.write("tokenizer.json", content);
    const std::string error = load_error(directory.path());
    EXPECT_NE(error.find((directory.path() / "tokenizer.json").string()), std::string::npos) << "error: " << error;
  }
  directory.write("tokenizer.json", "");
  EXPECT_NE(load_error(directory.path()).find("empty"), std::string::npos);
  directory.write("tokenizer.json", good);
  EXPECT_EQ(load_error(directory.path()), "");
}

TEST(Tokenizer, NoTokenizerFileNamesThoseLookedFor) {
  const std::string error = load_error(TemporaryDirectory().path());
  for (const char* name : {"tokenizer.json", "vocab.txt", "vocab.json", "merges.txt"}) {
    EXPECT_NE(error.find(name), std::string::npos) << error;
  }
}

TEST(Tokenizer, OldBertDirectory) {
  TemporaryDirectory directory;
  directory.write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\n##s\n");
  const auto tokenizer = open_directory(directory.path());
  EXPECT_EQ(must_encode(*tokenizer, text_job("Hellos \xC3\xA9")).ids, (std::vector<int32_t>{2, 5, 6, 1, 3}));
  EXPECT_EQ(tokenizer->vocabulary_size(), 7u);
  directory.write("tokenizer_config.json", R"({"do_lower_case": false})");
  EXPECT_EQ(must_encode(*open_directory(directory.path()), text_job("Hello")).ids, (std::vector<int32_t>{2, 1, 3}));
}

TEST(Tokenizer, TokensByName) {
  const auto tokenizer = open_checkpoint("bert-mean");
  EXPECT_EQ(tokenizer->token(must_encode(*tokenizer, text_job("")).ids.at(0)), "[CLS]");
  EXPECT_EQ(tokenizer->token(-1), "");
  EXPECT_EQ(tokenizer->token(static_cast<int32_t>(tokenizer->vocabulary_size())), "");
  EXPECT_NE(tokenizer->token(static_cast<int32_t>(tokenizer->vocabulary_size()) - 1), "");
}

TEST(Tokenizer, ReadyIdsPassThrough) {
  const auto tokenizer = open_checkpoint("bert-mean");
  const int32_t last = static_cast<int32_t>(tokenizer->vocabulary_size()) - 1;
  TokenizeJob job = ids_job({2, last, 0});
  job.prompt_tokens = 2;
  const Sequence sequence = must_encode(*tokenizer, job, 3, true);
  EXPECT_EQ(sequence.ids, job.ids);
  EXPECT_EQ(sequence.type_ids, (std::vector<int32_t>{0, 0, 0}));
  EXPECT_EQ(sequence.special_tokens_mask, (std::vector<uint8_t>{0, 0, 0}));
  EXPECT_EQ(sequence.prompt_tokens, 2u);
  EXPECT_FALSE(sequence.truncated);

  expect_invalid(encode_one(*tokenizer, ids_job({})), "empty");
  expect_invalid(encode_one(*tokenizer, job, 2), "maximum length is 2", ErrorCode::kTooLong);
  expect_invalid(encode_one(*tokenizer, ids_job({2, last + 1})), "position 1");
  expect_invalid(encode_one(*tokenizer, ids_job({-1})), "-1 at position 0");

  // Mixed with texts, each result stays at its job's place.
  const std::vector<TokenizeJob> jobs = {text_job("hello"), ids_job({5}), text_job("\xFF"), ids_job({-5}),
                                         text_job("world")};
  const auto results = tokenizer->encode(jobs, 16, false);
  ASSERT_EQ(results.size(), 5u);
  EXPECT_EQ(results[0].value().ids, must_encode(*tokenizer, jobs[0]).ids);
  EXPECT_EQ(results[1].value().ids, (std::vector<int32_t>{5}));
  EXPECT_FALSE(results[2].ok());
  EXPECT_FALSE(results[3].ok());
  EXPECT_EQ(results[4].value().ids, must_encode(*tokenizer, jobs[4]).ids);
}

TEST(Tokenizer, PromptTokensAreCopied) {
  TokenizeJob job = text_job("query: hello");
  job.prompt_tokens = 3;
  EXPECT_EQ(must_encode(*open_checkpoint("bert-mean"), job).prompt_tokens, 3u);
}

}  // namespace
}  // namespace wde
