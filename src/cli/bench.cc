#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <array>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>

#include "cli/bench_report.h"
#include "cli/command.h"
#include "cli/engine_flags.h"
#include "cli/input_reader.h"
#include "cli/output_sink.h"
#include "cli/program.h"
#include "wde/engine.h"

namespace wde::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kWarmUpTexts = 256;
constexpr std::array<size_t, 3> kCostLengths{16, 128, 512};

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

std::optional<Request> next_request(InputSource& source) {
  std::optional<InputItem> item = source.next();
  if (!item) return std::nullopt;
  if (!item->request.ok()) throw InputError(source.where(item->line) + ": " + item->request.error().message);
  return std::move(item->request).value();
}

// Submits requests[0, count), never more than `concurrency` at once, and waits for all. Returns their tokens.
class BulkRun {
 public:
  BulkRun(Engine& engine, size_t concurrency) : engine_(engine), concurrency_(concurrency) {}

  uint64_t run(const std::vector<Request>& requests, size_t count) {
    for (size_t i = 0; i < count; ++i) {
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return in_flight_ < concurrency_; });
        ++in_flight_;
      }
      engine_.submit(requests[i], [this](const Result<Response>& result) { done(result); });
    }
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return in_flight_ == 0; });
    if (!problem_.empty()) throw std::runtime_error("a text of the input failed: " + problem_);
    return tokens_;
  }

 private:
  void done(const Result<Response>& result) {
    std::lock_guard lock(mutex_);
    if (result.ok()) {
      tokens_ += result.value().tokens;
    } else if (problem_.empty()) {
      problem_ = result.error().message;
    }
    --in_flight_;
    if (in_flight_ == 0 || in_flight_ + 1 == concurrency_) changed_.notify_one();
  }

  Engine& engine_;
  const size_t concurrency_;
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t in_flight_ = 0;
  uint64_t tokens_ = 0;
  std::string problem_;
};

double answer_one(Engine& engine, Request request) {
  const Clock::time_point begin = Clock::now();
  const Result<Response> result = engine.submit(std::move(request)).get();
  const double seconds = seconds_since(begin);
  if (!result.ok()) throw std::runtime_error("a text of the input failed: " + result.error().message);
  return seconds;
}

class BenchCommand : public Command {
 public:
  std::string name() const override { return "bench"; }
  std::string summary() const override { return "How fast a model is here: bulk throughput and single-text latency."; }
  std::string examples() const override {
    return "  wde bench --model all-MiniLM-L6-v2 --input texts.jsonl\n"
           "  wde bench --model all-MiniLM-L6-v2 --input texts.txt --runs 5 --workers 1 --json";
  }
  void add_flags(CLI::App& app) override {
    const auto add = [&](const char* flag, auto& target, const char* help, const char* value) {
      return app.add_option(flag, target, help)->option_text(value)->take_last();
    };
    add("--input", input_, "The texts, one a line, JSONL or text; - is standard input.", "FILE")->required();
    add("--input-format", input_format_, "As for `wde embed`. [default: auto]", "auto|jsonl|text")
        ->check(CLI::IsMember({"auto", "jsonl", "text"}));
    add("--task", task_, "The task to measure. [default: embed]", "NAME");
    add("--runs", runs_, "Timed passes over all texts; the median counts. [default: 3]", "N")
        ->check(CLI::Range(1, 1000));
    add("--concurrency", concurrency_, "Texts in flight in a pass. [default: 4096]", "N")
        ->check(CLI::Range(1, 1 << 20));
    add("--singles", singles_, "Texts of 12 words, one at a time, for the latency; 0: none. [default: 200]", "N")
        ->check(CLI::Range(0, 1 << 20));
    app.add_flag("--json", report_json_, "One JSON object instead of a table.");
    engine_flags_.add_to(app);
  }

  int run() override {
    const EngineArgs args = engine_flags_.args(task_);
    const std::unique_ptr<InputSource> source = open_input(input_, parse_input_format(input_format_));
    std::vector<Request> requests;
    BenchReport report;
    const std::unique_ptr<Engine> engine = Engine::create(args);
    report.load_seconds = seconds_since_start();
    // The rest of the input is read later: it is not what the first vector waits for.
    for (std::optional<Request> request = next_request(*source); request; request = next_request(*source)) {
      requests.push_back(std::move(*request));
      if (requests.size() > 1) continue;
      answer_one(*engine, requests.front());
      report.first_vector_seconds = seconds_since_start();
    }
    if (requests.empty()) throw InputError(fmt::format("{} holds no text: nothing to measure", input_));
    report.texts = requests.size();

    BulkRun(*engine, concurrency_).run(requests, std::min(requests.size(), kWarmUpTexts));
    for (size_t i = 0; i < runs_; ++i) {
      const Clock::time_point begin = Clock::now();
      report.tokens = BulkRun(*engine, concurrency_).run(requests, requests.size());
      report.seconds.push_back(seconds_since(begin));
    }
    // A pair stays a pair, for a model may take nothing else.
    for (const Request& request : single_requests(requests, singles_)) {
      report.single_seconds.push_back(answer_one(*engine, request));
    }
    report.peak_rss_mb = peak_rss_mb();
    add_cost(*engine, report);
    OutputSink sink("");
    sink.append(report_json_ ? report.as_json() : report.as_text());
    sink.close();
    return kDone;
  }

 private:
  // What the engine has learned of the model on the way, for lengths that the model takes.
  static void add_cost(const Engine& engine, BenchReport& report) {
    const EngineInfo& info = engine.info();
    if (info.workers == 0) return;
    for (const size_t tokens : kCostLengths) {
      if (tokens > info.max_length) break;
      report.cost.emplace_back(tokens, engine.seconds(tokens) * static_cast<double>(info.workers));
    }
    report.cost_error = engine.statistics().cost_error;
  }

  std::string input_;
  std::string input_format_ = "auto";
  std::string task_ = "embed";
  size_t runs_ = 3;
  size_t concurrency_ = 4096;
  size_t singles_ = 200;
  bool report_json_ = false;
  EngineFlags engine_flags_;
};

}  // namespace

std::unique_ptr<Command> make_bench_command() { return std::make_unique<BenchCommand>(); }

}  // namespace wde::cli
