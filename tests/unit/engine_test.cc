// The engine through its public API: every request is answered exactly once, in any order, with its own answer or its
// own error.
#include "wde/engine.h"
#include "test_paths.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace wde {
namespace {

using Settings = std::vector<std::pair<std::string, std::string>>;

EngineArgs args_of(const Settings& settings, const std::string& model = "bert-mean") {
  EngineArgs args;
  args.set("model", std::string(test::kData) + "/" + model);
  for (const auto& [name, value] : settings) args.set(name, value);
  return args;
}

std::unique_ptr<Engine> make_engine(const Settings& settings = {}) { return Engine::create(args_of(settings)); }

std::vector<std::string> texts(size_t count) {
  std::vector<std::string> out;
  for (size_t i = 0; i < count; ++i) {
    std::string text = "text number " + std::to_string(i);
    for (size_t w = 0; w < i * 7 % 40; ++w) text += " and more";
    out.push_back(std::move(text));
  }
  return out;
}

std::vector<float> vector_of(Result<Response> result) {
  if (!result.ok()) {
    ADD_FAILURE() << result.error().message;
    return {};
  }
  return std::move(result.value().outputs.at(0).values);
}

// The message of the error that creating an engine ends in.
template <class Exception>
std::string refusal(const EngineArgs& args) {
  try {
    (void)Engine::create(args);
  } catch (const Exception& error) {
    return error.what();
  }
  ADD_FAILURE() << "the engine was created";
  return "";
}

void expect_contains(const std::string& text, std::initializer_list<std::string> parts) {
  for (const std::string& part : parts)
    EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' is not in: " << text;
}

TEST(Engine, AnswersThroughAFutureAndThroughACallback) {
  auto engine = make_engine();
  auto future = engine->submit({"Hello, world!", {}});
  const auto want = vector_of(future.get());
  EXPECT_EQ(want.size(), engine->info().dimensions);

  std::promise<Result<Response>> promise;
  std::atomic<int> calls = 0;
  const RequestId id = engine->submit({"Hello, world!", {}}, [&](Result<Response> result) {
    if (++calls == 1) promise.set_value(std::move(result));
  });
  EXPECT_NE(id, 0u);
  auto result = promise.get_future().get();
  ASSERT_TRUE(result.ok());
  const Response& response = result.value();
  EXPECT_EQ(response.outputs.at(0).name, "embedding");
  EXPECT_EQ(response.outputs[0].shape, std::vector<size_t>{want.size()});
  EXPECT_EQ(response.outputs[0].values, want);
  EXPECT_GT(response.tokens, 2u);
  EXPECT_FALSE(response.truncated);
  const Timing& timing = response.timing;
  EXPECT_GT(timing.inference(), 0);
  EXPECT_GE(timing.waiting(), 0);
  EXPECT_GT(timing.tokenization(), 0);
  EXPECT_GE(timing.total(), timing.tokenization() + timing.waiting() + timing.inference() - 1e-6);
  engine->shutdown();
  EXPECT_EQ(calls, 1);
}

TEST(Engine, EveryTaskGivesItsOutput) {
  auto hidden = make_engine({{"task", "token_embed"}})->submit({"Hello", {}}).get();
  ASSERT_TRUE(hidden.ok());
  EXPECT_EQ(hidden.value().outputs.at(0).name, "hidden");
  EXPECT_EQ(hidden.value().outputs[0].shape[0], hidden.value().tokens);
  auto ids = make_engine({{"task", "tokenize"}})->submit({"Hello", {}}).get();
  ASSERT_TRUE(ids.ok());
  EXPECT_EQ(ids.value().outputs.at(0).name, "ids");
  EXPECT_EQ(ids.value().outputs[0].ids.size(), ids.value().tokens);
  EXPECT_EQ(ids.value().details.tokens.size(), ids.value().tokens);
}

TEST(Engine, TokenIdsGiveWhatTheirTextGives) {
  auto engine = make_engine();
  auto tokens = make_engine({{"task", "tokenize"}})->submit({"The quick brown fox", {}}).get();
  ASSERT_TRUE(tokens.ok());
  EXPECT_EQ(vector_of(engine->submit({TokenIds{tokens.value().outputs[0].ids}, {}}).get()),
            vector_of(engine->submit({"The quick brown fox", {}}).get()));
}

TEST(Engine, PromptsAreTheRequestsElseTheEngines) {
  auto plain = make_engine(), prompted = make_engine({{"prompt", "query: "}});
  const auto want = vector_of(plain->submit({"query: fox", {}}).get()),
             bare = vector_of(plain->submit({"fox", {}}).get());
  EXPECT_EQ(vector_of(prompted->submit({"fox", {}}).get()), want);
  EXPECT_EQ(vector_of(plain->submit({"fox", "query: "}).get()), want);
  EXPECT_EQ(vector_of(prompted->submit({"fox", ""}).get()), bare);
}

TEST(Engine, LongTextsAreCutAndSaySo) {
  auto engine = make_engine({{"max-length", "16"}});
  std::string text = "word";
  for (int i = 0; i < 100; ++i) text += " word";
  auto result = engine->submit({text, {}}).get();
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result.value().tokens, 16u);
  EXPECT_TRUE(result.value().truncated);
}

TEST(Engine, AnswersComeToTheRightRequestInAnyOrder) {
  const auto inputs = texts(60);
  auto engine = make_engine({{"max-batch-tokens", "100"}});
  std::vector<std::vector<float>> want;
  for (const auto& text : inputs) want.push_back(vector_of(engine->submit({text, {}}).get()));
  std::vector<std::future<Result<Response>>> futures;
  for (const auto& text : inputs) futures.push_back(engine->submit({text, {}}));
  for (size_t i = inputs.size(); i-- > 0;) EXPECT_EQ(vector_of(futures[i].get()), want[i]) << "text " << i;
}

TEST(Engine, BadRequestsDoNotHarmTheirNeighbours) {
  auto engine = make_engine();
  const auto want = vector_of(engine->submit({"good", {}}).get());
  struct Bad {
    Request request;
    std::string in_message;
    ErrorCode code = ErrorCode::kInvalidInput;
  };
  Request whole{std::string("word and more and more and more"), {}};
  whole.truncation = Truncation::kRefuse;
  whole.max_length = 4;
  const std::vector<Bad> bad = {{{std::string("bad \xff\xfe text"), {}}, "UTF-8"},
                                {{std::string("cut \xe4\xb8"), {}}, "UTF-8"},
                                {{TextPair{"fine", "\xc0\x80"}, {}}, "UTF-8"},
                                {{TokenIds{{1, 2, 1'000'000}}, {}}, "1000000"},
                                {{TokenIds{{5, -1}}, {}}, "-1"},
                                {{TokenIds{{}}, {}}, "empty"},
                                {{TokenIds{std::vector<int32_t>(5000, 5)}, {}}, "5000", ErrorCode::kTooLong},
                                {whole, "at most 4 are allowed", ErrorCode::kTooLong},
                                {{TokenIds{{5, 6}}, "query: "}, "prompt"}};
  std::vector<std::future<Result<Response>>> good, wrong;
  for (int round = 0; round < 5; ++round) {
    for (const Bad& b : bad) {
      good.push_back(engine->submit({"good", {}}));
      wrong.push_back(engine->submit(b.request));
    }
  }
  for (auto& future : good) EXPECT_EQ(vector_of(future.get()), want);
  for (size_t i = 0; i < wrong.size(); ++i) {
    auto result = wrong[i].get();
    ASSERT_FALSE(result.ok()) << "bad request " << i % bad.size();
    EXPECT_EQ(result.error().code, bad[i % bad.size()].code) << i % bad.size();
    expect_contains(result.error().message, {bad[i % bad.size()].in_message});
  }
}

TEST(Engine, StrangeButLegalTexts) {
  auto engine = make_engine();
  for (const std::string& text : {std::string(), std::string(" "), std::string("a\0b", 3), std::string(1 << 20, 'x'),
                                  std::string("\xf0\x9f\x99\x82")}) {
    auto result = engine->submit({text, {}}).get();
    EXPECT_TRUE(result.ok()) << text.size() << " bytes: " << (result.ok() ? "" : result.error().message);
  }
}

TEST(Engine, UnknownNamesAreRefusedWithTheKnownOnes) {
  expect_contains(refusal<UsageError>(args_of({{"scheduler", "nosuch"}})),
                  {"scheduler", "'nosuch'", "fifo", "length_aware"});
  expect_contains(refusal<UsageError>(args_of({{"executor", "nosuch"}})),
                  {"executor", "'nosuch'", "sync", "data_parallel"});
  expect_contains(refusal<UsageError>(args_of({{"attn-backend", "nosuch"}})),
                  {"attention backend", "'nosuch'", "flash", "naive"});
  expect_contains(refusal<UsageError>(args_of({{"workflow", "nosuch"}})),
                  {"workflow", "'nosuch'", "embed", "tokenize"});
  expect_contains(refusal<UsageError>(args_of({{"task", "nosuch"}})),
                  {"BertModel", "'nosuch'", "embed", "token_embed", "tokenize"});
  expect_contains(refusal<UsageError>(args_of({{"prompt-name", "nosuch"}})), {"'nosuch'"});
  expect_contains(refusal<UsageError>(args_of({{"max-length", "100000"}})), {"100000", "512"});
  expect_contains(refusal<UsageError>(EngineArgs()), {"--model", "WDE_MODEL"});
}

TEST(Engine, MissingModelsAreRefused) {
  EngineArgs args;
  args.set("model", "/no/such/directory");
  expect_contains(refusal<LoadError>(args), {"/no/such/directory"});
}

TEST(Engine, InfoTellsWhatWasMade) {
  const auto engine = make_engine({{"workers", "2"}, {"scheduler", "fifo"}, {"attn-backend", "naive"}});
  const EngineInfo& info = engine->info();
  EXPECT_EQ(info.architecture, "BertModel");
  EXPECT_EQ(info.task, "embed");
  EXPECT_EQ(info.workflow, "embed");
  EXPECT_EQ(info.workers, 2u);
  EXPECT_EQ(info.dimensions, 48u);
  EXPECT_GT(info.max_length, 0u);
  EXPECT_GT(info.weight_bytes, 0u);
  const auto has = [&](const std::string& seam, const std::string& name) {
    return std::find(info.modules.begin(), info.modules.end(), std::pair{seam, name}) != info.modules.end();
  };
  EXPECT_TRUE(has("scheduler", "fifo"));
  EXPECT_TRUE(has("attn_backend", "naive"));
  EXPECT_TRUE(has("executor", "data_parallel"));
  EXPECT_TRUE(has("output_processor", "embedding"));
}

// A task that computes nothing makes no model and no threads for one.
TEST(Engine, TokenizeLoadsNoModel) {
  const auto engine = make_engine({{"task", "tokenize"}});
  EXPECT_EQ(engine->info().workers, 0u);
  EXPECT_EQ(engine->info().weight_bytes, 0u);
  for (const auto& [seam, name] : engine->info().modules)
    EXPECT_TRUE(seam != "model" && seam != "runner") << seam << " " << name;
}

TEST(Engine, ShutdownIsIdempotentAndRefusesWhatComesLater) {
  auto engine = make_engine();
  auto before = engine->submit({"before", {}});
  engine->shutdown();
  engine->shutdown();
  EXPECT_TRUE(before.get().ok());
  auto after = engine->submit({"after", {}}).get();
  ASSERT_FALSE(after.ok());
  EXPECT_EQ(after.error().code, ErrorCode::kUnavailable);
  EXPECT_FALSE(engine->cancel(1));
}

TEST(Engine, EndOfLifeAnswersEverything) {
  for (const char* executor : {"sync", "data_parallel"}) {
    for (const char* task : {"embed", "tokenize"}) {
      std::vector<std::future<Result<Response>>> futures;
      {
        auto engine = make_engine({{"executor", executor}, {"task", task}});
        for (const auto& text : texts(100)) futures.push_back(engine->submit({text, {}}));
      }
      for (auto& future : futures) EXPECT_TRUE(future.get().ok());
    }
  }
}

TEST(Engine, CancelOfTheUnknownAndTheAnswered) {
  auto engine = make_engine();
  EXPECT_FALSE(engine->cancel(0));
  EXPECT_FALSE(engine->cancel(12'345));
  std::promise<void> answered;
  const RequestId id = engine->submit({"text", {}}, [&](Result<Response>) { answered.set_value(); });
  answered.get_future().wait();
  EXPECT_FALSE(engine->cancel(id));
}

// Many threads submit, some cancel at once: cancel() says true exactly for those whose answer is kCancelled; each is
// answered once.
void submit_from_many_threads(const std::string& task, const std::string& executor) {
  constexpr size_t kThreads = 6, kEach = 60;
  const auto inputs = texts(kEach);
  auto engine = make_engine({{"task", task}, {"executor", executor}, {"max-batch-tokens", "200"}});
  std::vector<Output> want;
  for (const auto& text : inputs) want.push_back(engine->submit({text, {}}).get().value().outputs.at(0));

  struct Slot {
    std::atomic<int> calls = 0;
    std::optional<Result<Response>> result;
    bool cancel_said = false;
  };
  std::vector<Slot> slots(kThreads * kEach);
  std::atomic<size_t> answered = 0;
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < kEach; ++i) {
        Slot& slot = slots[t * kEach + i];
        const RequestId id = engine->submit({inputs[i], {}}, [&](Result<Response> result) {
          if (++slot.calls == 1) slot.result.emplace(std::move(result));
          ++answered;
        });
        if ((t + i) % 3 == 0) slot.cancel_said = engine->cancel(id);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  engine->shutdown();
  EXPECT_EQ(answered, slots.size());
  for (size_t s = 0; s < slots.size(); ++s) {
    ASSERT_EQ(slots[s].calls, 1);
    const Result<Response>& result = *slots[s].result;
    if (slots[s].cancel_said) {
      ASSERT_FALSE(result.ok()) << "cancel() promised kCancelled";
      EXPECT_EQ(result.error().code, ErrorCode::kCancelled);
    } else {
      ASSERT_TRUE(result.ok()) << result.error().message;
      EXPECT_EQ(result.value().outputs[0].values, want[s % kEach].values);
      EXPECT_EQ(result.value().outputs[0].ids, want[s % kEach].ids);
    }
  }
}

TEST(Engine, ManyThreadsWithWorkers) { submit_from_many_threads("embed", "data_parallel"); }
TEST(Engine, ManyThreadsOnTheEnginesOwn) { submit_from_many_threads("embed", "sync"); }
TEST(Engine, ManyThreadsTokenizing) { submit_from_many_threads("tokenize", "data_parallel"); }

}  // namespace
}  // namespace wde
