// The engine with modules of the test's own: ones that throw, ones that do not fit, and a runner that waits.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "attention/attn_backend.h"
#include "build/model_input_builder.h"
#include "execute/executor.h"
#include "input/input_processor.h"
#include "output/output_processor.h"
#include "test_paths.h"
#include "tokenizer/tokenizer.h"
#include "wde/engine.h"
#include "workflow/workflow.h"

namespace wde {
namespace {

using namespace std::chrono_literals;

// Ids and texts that make the modules below throw.
constexpr int32_t kThrowInRunner = 701, kThrowInOutput = 702, kThrowInBuilder = 703, kThrowNoException = 704;
const std::string kThrowInInput = "throw in the input processor", kThrowInTokenizer = "throw in the tokenizer";

bool contains(const std::vector<int32_t>& ids, int32_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

// Holds the test's runners back while it is closed.
class Gate {
 public:
  void close() {
    std::scoped_lock lock(mutex_);
    open_ = false;
    arrived_ = 0;
  }
  void open() {
    std::scoped_lock lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void pass() {
    std::unique_lock lock(mutex_);
    ++arrived_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
  }
  void wait_for_arrival() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return arrived_ > 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = true;
  size_t arrived_ = 0;
};
Gate gate;

class TestRunner final : public Runner {
 public:
  explicit TestRunner(const RunnerConfig& config) : real_(runners().get("cpu")(config)) {}
  void run(const ModelInput& input, LayerRange range, ModelOutput& output, Team& team) override {
    gate.pass();
    if (contains(input.ids, kThrowInRunner)) throw std::runtime_error("the test's runner threw");
    if (contains(input.ids, kThrowNoException)) throw 5;
    real_->run(input, range, output, team);
  }

 private:
  std::unique_ptr<Runner> real_;
};

class TestOutput final : public OutputProcessor {
 public:
  explicit TestOutput(const OutputConfig& config) : real_(output_processors().get("embedding")(config)) {}
  RowsNeeded rows_needed() const override { return real_->rows_needed(); }
  size_t dimensions() const override { return real_->dimensions(); }
  Result<Response> process(const Sequence& sequence, View<const float> hidden) const override {
    if (contains(sequence.ids, kThrowInOutput)) throw std::runtime_error("the test's output processor threw");
    return real_->process(sequence, hidden);
  }

 private:
  std::unique_ptr<OutputProcessor> real_;
};

class TestInput final : public InputProcessor {
 public:
  explicit TestInput(const InputConfig& config) : real_(input_processors().get("text")(config)) {}
  Result<TokenizeJob> process(Request request) const override {
    const auto* text = std::get_if<std::string>(&request.input);
    if (text != nullptr && *text == kThrowInInput) throw std::runtime_error("the test's input processor threw");
    return real_->process(std::move(request));
  }

 private:
  std::unique_ptr<InputProcessor> real_;
};

class TestTokenizer final : public Tokenizer {
 public:
  explicit TestTokenizer(const TokenizerConfig& config) : real_(tokenizers().get("hf")(config)) {}
  std::vector<Result<Sequence>> encode(std::span<const TokenizeJob> jobs, size_t max_length,
                                       bool want_offsets) const override {
    for (const TokenizeJob& job : jobs) {
      if (job.text == kThrowInTokenizer) throw std::runtime_error("the test's tokenizer threw");
    }
    return real_->encode(jobs, max_length, want_offsets);
  }
  std::string token(int32_t id) const override { return real_->token(id); }
  std::optional<int32_t> id(std::string_view token) const override { return real_->id(token); }
  Result<std::string> decode(const std::vector<int32_t>& ids, bool skip_special_tokens) const override {
    return real_->decode(ids, skip_special_tokens);
  }
  size_t vocabulary_size() const override { return real_->vocabulary_size(); }
  WordRule word_rule() const override { return real_->word_rule(); }

 private:
  std::unique_ptr<Tokenizer> real_;
};

class TestBuilder final : public ModelInputBuilder {
 public:
  void build(std::span<const Sequence> batch, RowsNeeded rows, ModelInput& input) const override {
    for (const Sequence& s : batch) {
      if (contains(s.ids, kThrowInBuilder)) throw std::runtime_error("the test's builder threw");
    }
    real_->build(batch, rows, input);
  }

 private:
  std::unique_ptr<ModelInputBuilder> real_ = model_input_builders().get("encoder")();
};

// Honours no mask at all.
class FussyBackend final : public AttnBackend {
 public:
  std::string refuses(const AttentionMask&) const override { return "a full moon"; }
  size_t scratch_floats(size_t, const HeadShape&) const override { return 0; }

 private:
  void attend_sequence(const kernels::AttentionArgs&, float*) const noexcept override {}
};

void register_modules() {
  static const bool once = [] {
    runners().add("test_runner", [](const RunnerConfig& c) { return std::make_unique<TestRunner>(c); });
    output_processors().add("test_output", [](const OutputConfig& c) { return std::make_unique<TestOutput>(c); });
    input_processors().add("test_input", [](const InputConfig& c) { return std::make_unique<TestInput>(c); });
    tokenizers().add("test_tokenizer", [](const TokenizerConfig& c) { return std::make_unique<TestTokenizer>(c); });
    model_input_builders().add("test_builder", [] { return std::make_unique<TestBuilder>(); });
    attn_backends().add("test_fussy", [] { return std::make_unique<FussyBackend>(); });
    executors().add("test_odd", {"odd", [](const ExecutorConfig&) -> std::unique_ptr<Executor> { return nullptr; }});
    Workflow workflow = workflows().get("embed");
    workflow.help = "embed, with modules that throw";
    workflow.runner = "test_runner";
    workflow.output_processor = "test_output";
    workflow.input_processor = "test_input";
    workflow.tokenizer = "test_tokenizer";
    workflow.model_input_builder = "test_builder";
    return workflows().add("test_workflow", workflow);
  }();
  (void)once;
}

using Settings = std::vector<std::pair<std::string, std::string>>;

std::unique_ptr<Engine> make_engine(const Settings& settings = {}) {
  register_modules();
  EngineArgs args;
  args.set("model", std::string(test::kData) + "/bert-mean").set("workflow", "test_workflow");
  for (const auto& [name, value] : settings) args.set(name, value);
  return Engine::create(args);
}

std::string usage_error(const Settings& settings) {
  try {
    (void)make_engine(settings);
  } catch (const UsageError& error) {
    return error.what();
  }
  ADD_FAILURE() << "the engine was created";
  return "";
}

class ThrowingModules : public ::testing::TestWithParam<std::string> {
 protected:
  // `bad` fails with this message, and good requests before, beside and behind it do not.
  void expect_failure(const Request& bad, const std::string& message) {
    SCOPED_TRACE(message);
    auto engine = make_engine({{"executor", GetParam()}, {"max-batch-tokens", "1"}});
    const Request good{TokenIds{{5, 6, 7}}, {}};
    const auto want = engine->submit(good).get();
    ASSERT_TRUE(want.ok()) << want.error().message;
    for (int round = 0; round < 3; ++round) {
      auto failing = engine->submit(bad).get();
      ASSERT_FALSE(failing.ok());
      EXPECT_EQ(failing.error().code, ErrorCode::kInternal);
      EXPECT_EQ(failing.error().message, message);
      auto after = engine->submit(good).get();
      ASSERT_TRUE(after.ok()) << after.error().message;
      EXPECT_EQ(after.value().outputs[0].values, want.value().outputs[0].values);
    }
  }
};
INSTANTIATE_TEST_SUITE_P(Executors, ThrowingModules, ::testing::Values("sync", "data_parallel"),
                         [](const auto& test_info) { return test_info.param; });

TEST_P(ThrowingModules, Runner) { expect_failure({TokenIds{{9, kThrowInRunner}}, {}}, "the test's runner threw"); }
TEST_P(ThrowingModules, RunnerWithoutAnException) {
  expect_failure({TokenIds{{9, kThrowNoException}}, {}}, "the model's forward pass threw an unknown exception");
}
TEST_P(ThrowingModules, Output) {
  expect_failure({TokenIds{{9, kThrowInOutput}}, {}}, "the test's output processor threw");
}
TEST_P(ThrowingModules, Builder) { expect_failure({TokenIds{{9, kThrowInBuilder}}, {}}, "the test's builder threw"); }
TEST_P(ThrowingModules, Input) { expect_failure({kThrowInInput, {}}, "the test's input processor threw"); }
TEST_P(ThrowingModules, TokenizerItself) { expect_failure({kThrowInTokenizer, {}}, "the test's tokenizer threw"); }

// A batch is one forward pass: all that are in it fail, and only they.
TEST_P(ThrowingModules, RunnerFailsItsBatchAlone) {
  auto engine = make_engine({{"executor", GetParam()}, {"max-batch-tokens", "8"}});
  std::vector<std::future<Result<Response>>> futures;
  for (int i = 0; i < 40; ++i)
    futures.push_back(engine->submit({TokenIds{{5, i == 20 ? kThrowInRunner : 6 + i, 7, 8}}, {}}));
  size_t failed = 0;
  for (size_t i = 0; i < futures.size(); ++i) {
    const auto result = futures[i].get();
    failed += result.ok() ? 0 : 1;
    if (i == 20) {
      EXPECT_FALSE(result.ok());
    }
    if (!result.ok()) {
      EXPECT_EQ(result.error().message, "the test's runner threw");
    }
  }
  EXPECT_LE(failed, 2u) << "8 tokens are two requests of 4";
}

TEST(Incompatible, ExecutorAndScheduler) {
  const std::string message = usage_error({{"executor", "test_odd"}});
  for (const char* part : {"length_aware", "test_odd", "odd", "sync, async"})
    EXPECT_NE(message.find(part), std::string::npos) << message;
}

TEST(ModulesByHand, AreWhatTheEngineIsMadeOf) {
  const auto engine = make_engine({{"workflow", "embed"}, {"set", "scheduler=fifo,executor=sync"}});
  const auto& modules = engine->info().modules;
  const auto has = [&](const char* seam, const char* name) {
    return std::find(modules.begin(), modules.end(), std::pair<std::string, std::string>(seam, name)) != modules.end();
  };
  EXPECT_TRUE(has("scheduler", "fifo"));
  EXPECT_TRUE(has("executor", "sync"));
  EXPECT_NE(usage_error({{"set", "fifo"}}).find("expected seam=name"), std::string::npos);
  EXPECT_NE(
      usage_error({{"set", "sheduler=fifo"}}).find("there is no such seam in this workflow, only: input_processor"),
      std::string::npos);
  EXPECT_NE(usage_error({{"set", "scheduler=lifo"}}).find("known: fair, fifo, length_aware"), std::string::npos);
}

TEST(Incompatible, AttentionBackendAndModel) {
  const std::string message = usage_error({{"attn-backend", "test_fussy"}});
  for (const char* part : {"test_fussy", "a full moon", "BertModel", "naive"})
    EXPECT_NE(message.find(part), std::string::npos) << message;
}

class Waiting : public ::testing::Test {
 protected:
  void SetUp() override { gate.close(); }
  void TearDown() override { gate.open(); }
  static Request request(int32_t id) { return {TokenIds{{5, id, 7}}, {}}; }

  struct Pending {
    RequestId id;
    std::future<Result<Response>> answer;
  };
  Pending submit(int32_t token) {
    auto promise = std::make_shared<std::promise<Result<Response>>>();
    auto future = promise->get_future();
    return {engine_->submit(request(token), [promise](Result<Response> r) { promise->set_value(std::move(r)); }),
            std::move(future)};
  }

  std::unique_ptr<Engine> engine_ = make_engine({{"workers", "1"}, {"max-batch-tokens", "1"}});
};

// One batch is computed, one is kept ready; what is behind them can be cancelled, at once.
TEST_F(Waiting, RequestsCanBeCancelled) {
  Pending running = submit(10);
  gate.wait_for_arrival();
  std::vector<Pending> behind;
  for (int32_t i = 0; i < 6; ++i) behind.push_back(submit(11 + i));
  EXPECT_FALSE(engine_->cancel(running.id)) << "it is being executed";
  Pending& last = behind.back();
  EXPECT_TRUE(engine_->cancel(last.id));
  EXPECT_FALSE(engine_->cancel(last.id)) << "a second time";
  ASSERT_EQ(last.answer.wait_for(20s), std::future_status::ready) << "the answer must not wait for the others";
  const auto cancelled = last.answer.get();
  ASSERT_FALSE(cancelled.ok());
  EXPECT_EQ(cancelled.error().code, ErrorCode::kCancelled);
  gate.open();
  EXPECT_TRUE(running.answer.get().ok());
  for (size_t i = 0; i + 1 < behind.size(); ++i) EXPECT_TRUE(behind[i].answer.get().ok()) << i;
}

TEST_F(Waiting, ShutdownAnswersWhatWaitsAndRefusesWhatComes) {
  std::vector<Pending> pending;
  for (int32_t i = 0; i < 20; ++i) pending.push_back(submit(10 + i));
  gate.wait_for_arrival();
  std::thread stopper([&] { engine_->shutdown(); });
  // Refusals start as soon as shutdown() has begun, while everything else still waits.
  for (;;) {
    Pending late = submit(60);
    if (late.answer.wait_for(0s) == std::future_status::ready) {
      const auto refused = late.answer.get();
      ASSERT_FALSE(refused.ok());
      EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
      break;
    }
    pending.push_back(std::move(late));
    std::this_thread::sleep_for(1ms);
  }
  gate.open();
  stopper.join();
  for (Pending& p : pending) EXPECT_TRUE(p.answer.get().ok());
}

TEST_F(Waiting, CancelledDuringShutdownIsCancelled) {
  Pending running = submit(10);
  gate.wait_for_arrival();
  std::vector<Pending> behind;
  for (int32_t i = 0; i < 6; ++i) behind.push_back(submit(20 + i));
  std::thread stopper([&] { engine_->shutdown(); });
  std::vector<bool> said;
  for (Pending& p : behind) said.push_back(engine_->cancel(p.id));
  gate.open();
  stopper.join();
  EXPECT_TRUE(running.answer.get().ok());
  for (size_t i = 0; i < behind.size(); ++i) EXPECT_EQ(behind[i].answer.get().ok(), !said[i]) << i;
}

}  // namespace
}  // namespace wde
