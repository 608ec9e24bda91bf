// The program: simulations of several schedulers at several loads, as a table or as JSON.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "bound.h"
#include "report.h"

namespace wde::simulation {
namespace {

constexpr const char* kHelp =
    R"(Simulates a server: the engine's own schedulers and rule of dispatch, on a clock of their own.

Clients send requests at random times to a server of --workers threads. What a batch takes is what the cost
model says, for a model of all-MiniLM-L6-v2's sizes at --operations a second and thread. No time of this
machine is involved: the same flags always give the same figures.

Traces (--trace), whose kinds of client make parts of the load:
  mixed        8 clients with queries (one text of 4 to 20 tokens; 5 % of the work), 4 that rerank 32 texts of
               60 to 200 tokens (25 %), 4 with bulk requests of 64 to 2,048 texts of 200 to 300 tokens (70 %)
  bursty       the same, but bulk requests come in bursts
  priorities   the same as mixed, but bulk requests have a later priority
  connections  queries (30 %), each on a connection of its own, and bulk requests (70 %)

Schedulers: fair (wde serve's), length_aware, fifo, and for comparison shortest_first, which is not in the engine.

A request's wait is what it takes longer than alone on the same server; its slow-down is how many times as long.
'of bound' is the highest part of the proven bound on waiting (docs/scheduling.md) that a text waited: at most 1
with fair. The bound says nothing of the others; what they have there shows what it is worth.

Examples:
  simulate_schedulers                                    all schedulers at 80 % load
  simulate_schedulers --load 0.3 0.5 0.7 0.8 0.9 0.95 --json > loads.json && bench/schedule/plot.py loads.json docs/img
  simulate_schedulers --scheduler fair --requests 1000000)";

void print_table(const std::string& scheduler, double load, const std::vector<Summary>& summaries, double worst) {
  for (const Summary& one : summaries) {
    fmt::print("{:<15} {:>4.2f}  {:<7} {:>9}  {:>9.1f} {:>9.1f} {:>10.1f}  {:>7.1f} {:>7.1f} {:>8.1f}  {}\n", scheduler,
               load, one.kind, one.requests, one.wait.mean * 1e3, one.wait.p50 * 1e3, one.wait.p99 * 1e3,
               one.slowdown.mean, one.slowdown.p50, one.slowdown.p99,
               one.kind == "all" ? fmt::format("{:.2f}", worst) : "");
  }
}

nlohmann::json json_of(const Figures& figures) {
  return {{"mean", figures.mean}, {"p50", figures.p50}, {"p99", figures.p99}};
}

int run_program(int argc, char** argv) {
  std::string trace_name = "mixed";
  std::vector<std::string> names{"fair", "length_aware", "fifo", "shortest_first"};
  std::vector<double> loads{0.8};
  double operations = 400e9;
  bool as_json = false;
  Scenario scenario;
  scenario.requests = 100'000;
  CLI::App app(kHelp);
  app.add_option("--trace", trace_name, "who asks for what")
      ->check(CLI::IsMember(trace_names()))
      ->capture_default_str();
  app.add_option("--scheduler", names, "one or more")
      ->check(CLI::IsMember({"fair", "length_aware", "fifo", "shortest_first"}))
      ->capture_default_str();
  app.add_option("--load", loads, "parts of what the workers can do; one or more")
      ->check(CLI::Range(0.01, 2.0))
      ->capture_default_str();
  app.add_option("--requests", scenario.requests, "that arrive")
      ->check(CLI::Range(size_t{1}, size_t{10'000'000}))
      ->capture_default_str();
  app.add_option("--workers", scenario.server.workers, "threads, each with a batch of its own")
      ->check(CLI::Range(size_t{1}, size_t{1024}))
      ->capture_default_str();
  app.add_option("--batch-tokens", scenario.server.batch_tokens, "tokens of a full batch")
      ->check(CLI::Range(size_t{1}, size_t{1} << 20))
      ->capture_default_str();
  app.add_option("--batch-time", scenario.server.batch_seconds, "seconds of a batch while others wait")
      ->check(CLI::Range(1e-4, 60.0))
      ->capture_default_str();
  app.add_option("--bulk-share", scenario.server.bulk_share, "part of the workers that later priorities always have")
      ->check(CLI::Range(0.0, 0.5))
      ->capture_default_str();
  app.add_option("--operations", operations, "a second, of a thread")
      ->check(CLI::Range(1e8, 1e14))
      ->capture_default_str();
  app.add_option("--seed", scenario.seed, "of the random numbers")->capture_default_str();
  app.add_flag("--json", as_json, "for bench/schedule/plot.py");
  CLI11_PARSE(app, argc, argv);

  const CostModel cost = small_model(operations);
  scenario.cost = &cost;
  scenario.kinds = trace(trace_name);
  nlohmann::json out = nlohmann::json::array();
  if (!as_json) {
    fmt::print("{:<15} {:>4}  {:<7} {:>9}  {:>30}  {:>24}\n", "", "", "", "", "wait in ms", "slow-down");
    fmt::print("{:<15} {:>4}  {:<7} {:>9}  {:>9} {:>9} {:>10}  {:>7} {:>7} {:>8}  {}\n", "scheduler", "load", "kind",
               "requests", "mean", "p50", "p99", "mean", "p50", "p99", "of bound");
  }
  for (const double load : loads) {
    for (const std::string& name : names) {
      scenario.load = load;
      BoundWatcher bound(scenario);
      const std::vector<Answered> answered = simulate(scenario, scheduler_named(name), &bound);
      const std::vector<Summary> summaries = summarize(scenario.kinds, answered);
      if (!as_json) {
        print_table(name, load, summaries, bound.worst());
        continue;
      }
      nlohmann::json kinds = nlohmann::json::object();
      for (const Summary& one : summaries) {
        kinds[one.kind] = {
            {"requests", one.requests}, {"wait", json_of(one.wait)}, {"slowdown", json_of(one.slowdown)}};
      }
      out.push_back({{"trace", trace_name},
                     {"scheduler", name},
                     {"load", load},
                     {"kinds", std::move(kinds)},
                     {"texts", bound.texts()},
                     {"part_of_bound", bound.worst()}});
    }
  }
  if (as_json) fmt::print("{}\n", out.dump(1));
  return 0;
}

}  // namespace
}  // namespace wde::simulation

int main(int argc, char** argv) {
  try {
    return wde::simulation::run_program(argc, argv);
  } catch (const std::exception& e) {
    fmt::print(stderr, "simulate_schedulers: {}\n", e.what());
    return 1;
  }
}
