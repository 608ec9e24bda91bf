// The work of tokenizing grows with the text, whatever the text: texts of one repeated character or word through every
// kind of tokenizer. Counted in instructions where the system lets a program count its own, else in the thread's time.
#include <gtest/gtest.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <filesystem>
#include <string>
#include <vector>

#include "test_paths.h"
#include "tokenizer/tokenizer.h"

namespace wde {
namespace {

// Of this thread.
class Work {
 public:
  Work() {
    perf_event_attr attributes = {};
    attributes.size = sizeof(attributes);
    attributes.type = PERF_TYPE_HARDWARE;
    attributes.config = PERF_COUNT_HW_INSTRUCTIONS;
    attributes.exclude_kernel = 1;
    counter_ = static_cast<int>(::syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0));
  }
  ~Work() {
    if (counter_ >= 0) ::close(counter_);
  }
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;

  // Else the time, which grows a little faster than the work: caches are small, and memory that is new is slow.
  bool counts_instructions() const {
    uint64_t count = 0;
    return counter_ >= 0 && ::read(counter_, &count, sizeof(count)) == sizeof(count) && count > 0;
  }
  double most_of_four_times() const { return counts_instructions() ? 2.5 * 2.5 : 10; }

  uint64_t so_far() const {
    uint64_t count = 0;
    if (counter_ >= 0 && ::read(counter_, &count, sizeof(count)) == sizeof(count) && count > 0) return count;
    timespec time = {};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
  }

 private:
  int counter_ = -1;
};

struct Kind {
  const char* model;
  const char* tokenizer;
};
constexpr Kind kKinds[] = {
    {"bert-mean", "native"},  {"bert-mean", "hf"},    {"xlm-roberta-cls", "native"}, {"xlm-roberta-cls", "hf"},
    {"t5-encoder", "hf"},     {"roberta-mean", "hf"}, {"qwen3-embedding", "hf"},     {"e5-mistral", "hf"},
    {"embeddinggemma", "hf"}, {"clip", "hf"},
};

const std::vector<std::string>& repeated() {
  static const std::vector<std::string> all = {"a",
                                               " ",
                                               "\n",
                                               "\t",
                                               "7",
                                               "!",
                                               "'",
                                               "\x01",
                                               "e\xCC\x81",
                                               "\xCC\x81",  // a combining mark
                                               "\xE4\xB8\xAD",
                                               "\xEF\xB7\xBA",
                                               "\xF0\x9F\xAB\xA8",
                                               "\xE2\x80\x8B",
                                               "a ",
                                               "ab\n",
                                               "a\xCC\x81 ",
                                               "<mask>",
                                               "[MASK]",
                                               "</s>",
                                               "\xE2\x96\x81",
                                               "-_",
                                               "1 "};
  return all;
}

std::string text_of(const std::string& part, size_t bytes) {
  std::string text;
  text.reserve(bytes + part.size());
  while (text.size() < bytes) text += part;
  return text;
}

uint64_t work_of(const Work& work, const Tokenizer& tokenizer, const std::string& text, size_t max_length,
                 Truncation truncation) {
  TokenizeJob job;
  job.text = text;
  job.options.truncation = truncation;
  const uint64_t before = work.so_far();
  (void)tokenizer.encode({&job, 1}, max_length, false);
  return work.so_far() - before;
}

class LinearTime : public testing::TestWithParam<Kind> {
 protected:
  std::unique_ptr<Tokenizer> open() const {
    const TokenizerConfig config{(std::filesystem::path(test::kData) / GetParam().model).string(), false, 1, true};
    return tokenizers().get(GetParam().tokenizer)(config);
  }
};

// Twice the text is at most two and a half times the work: four times the text, at most 6.25 times; 16 would be the
// square.
TEST_P(LinearTime, OfOneRepeatedWord) {
  constexpr size_t kBytes = 24 << 10;
  const Work work;
  const double most = work.most_of_four_times();
  constexpr uint64_t kNoise = 2'000'000;
  const auto tokenizer = open();
  for (const std::string& part : repeated()) {
    for (const auto& [max_length, truncation] : {std::pair{size_t{0}, Truncation::kRight},
                                                 {size_t{512}, Truncation::kLeft},
                                                 {size_t{512}, Truncation::kRefuse},
                                                 {size_t{511}, Truncation::kRight}}) {
      const std::string once = text_of(part, kBytes), four_times = text_of(part, 4 * kBytes);
      double ratio = 0;
      // The least of some: others use the processor too.
      uint64_t least = UINT64_MAX, least_of_four = UINT64_MAX;
      for (int tries = 0; tries < 6; ++tries) {
        least = std::min(least, work_of(work, *tokenizer, once, max_length, truncation));
        least_of_four = std::min(least_of_four, work_of(work, *tokenizer, four_times, max_length, truncation));
        ratio = static_cast<double>(least_of_four) / static_cast<double>(least + kNoise / 4);
        if (ratio <= most) break;
      }
      EXPECT_LE(ratio, most) << testing::PrintToString(part) << ", at most " << max_length << " tokens, "
                             << static_cast<int>(truncation) << ": " << least << " and " << least_of_four;
    }
  }
}

// Of what is far longer than the model only as much is read as is needed, or it is refused.
TEST_P(LinearTime, OfThirtyMegabytes) {
  const auto tokenizer = open();
  for (const char* part : {"a", "\xE4\xB8\xAD", "\xCC\x81", " "}) {
    const std::string text = text_of(part, 30 << 20);
    TokenizeJob job;
    job.text = text;
    const auto result = tokenizer->encode({&job, 1}, 512, false)[0];
    if (result.ok()) {
      EXPECT_LE(result.value().size(), 512U);
    } else {
      EXPECT_EQ(result.error().code, ErrorCode::kInvalidInput);
      EXPECT_NE(result.error().message.find("at most 4194304 bytes are"), std::string::npos) << result.error().message;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, LinearTime, testing::ValuesIn(kKinds), [](const auto& kind) {
  std::string name = std::string(kind.param.model) + "_" + kind.param.tokenizer;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace wde
