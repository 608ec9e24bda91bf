#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/engine_flags.h"
#include "cli/json_object.h"
#include "cli/output_sink.h"
#include "cli/program.h"
#include "cli/progress.h"
#include "cli/row_writer.h"
#include "server/serving/models.h"
#include "wde/engine.h"

namespace wde::cli {
namespace {

using nlohmann::ordered_json;

constexpr const char* kProbe = "The quick brown fox jumps over the lazy dog.";

// What a run found, in the order in which it is told.
struct Findings {
  std::vector<std::pair<std::string, std::string>> machine;
  std::optional<EngineInfo> engine;
  std::string serve_scheduler;  // that `wde serve` would have instead; "": the same
  double load_seconds = 0;
  double probe_seconds = 0;
  size_t probe_tokens = 0;
  std::string probe_result;  // "embedding [384]"
  std::vector<std::string> problems;
};

std::string as_json(const Findings& findings) {
  ordered_json out;
  out["version"] = version();
  out["machine"] = to_object(findings.machine);
  if (findings.engine) {
    const EngineInfo& info = *findings.engine;
    ordered_json engine;
    engine["architecture"] = info.architecture;
    engine["task"] = info.task;
    engine["workflow"] = info.workflow;
    engine["modules"] = to_object(info.modules);
    if (!findings.serve_scheduler.empty()) engine["serve_scheduler"] = findings.serve_scheduler;
    engine["facts"] = to_object(info.facts);
    engine["max_length"] = info.max_length;
    engine["dimensions"] = info.dimensions;
    engine["workers"] = info.workers;
    engine["weight_bytes"] = info.weight_bytes;
    engine["unused_tensors"] = info.unused_tensors;
    engine["notes"] = info.warnings;
    engine["load_seconds"] = findings.load_seconds;
    engine["probe"] = {{"text", kProbe},
                       {"tokens", findings.probe_tokens},
                       {"result", findings.probe_result},
                       {"seconds", findings.probe_seconds}};
    out["engine"] = engine;
  }
  out["problems"] = findings.problems;
  // replace: names that come from a checkpoint may hold anything
  return out.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

void append_pairs(std::string& out, const std::vector<std::pair<std::string, std::string>>& pairs) {
  for (const auto& [key, value] : pairs) out += fmt::format("  {:<22} {}\n", key, value);
}

std::string as_text(const Findings& findings) {
  std::string out = fmt::format("wde {}\n\nMachine\n", version());
  append_pairs(out, findings.machine);
  if (findings.engine) {
    const EngineInfo& info = *findings.engine;
    out += "\nModel\n";
    append_pairs(out, {{"architecture", info.architecture},
                       {"task", info.task},
                       {"workflow", info.workflow},
                       {"max length", fmt::format("{} tokens", format_count(info.max_length))}});
    if (info.dimensions > 0) append_pairs(out, {{"dimensions", format_count(info.dimensions)}});
    append_pairs(out, {{"workers", format_count(info.workers)},
                       {"weights", fmt::format("{:.1f} MB", static_cast<double>(info.weight_bytes) / 1e6)},
                       {"loaded in", format_seconds(findings.load_seconds)}});
    append_pairs(out, info.facts);
    out += "\nModules\n";
    append_pairs(out, info.modules);
    if (!findings.serve_scheduler.empty()) append_pairs(out, {{"scheduler of serve", findings.serve_scheduler}});
    if (!info.unused_tensors.empty()) {
      out += fmt::format("\nTensors of the checkpoint that this task does not need ({})\n", info.unused_tensors.size());
      for (const std::string& tensor : info.unused_tensors) out += fmt::format("  {}\n", tensor);
    }
    if (!findings.probe_result.empty()) {
      out += fmt::format("\nProbe: {} tokens -> {} in {:.1f} ms\n", findings.probe_tokens, findings.probe_result,
                         findings.probe_seconds * 1e3);
    }
  }
  out += "\n";
  const bool noted = findings.engine && !findings.engine->warnings.empty();
  if (noted) {
    for (const std::string& note : findings.engine->warnings) out += fmt::format("Note: {}\n", note);
  }
  for (const std::string& problem : findings.problems) out += fmt::format("PROBLEM: {}\n", problem);
  if (!findings.problems.empty()) return out;
  if (!findings.engine) return out + "Give --model DIR to have a model loaded and tried.\n";
  return out + (noted ? "It works; read the notes.\n" : "All is well.\n");
}

class DoctorCommand : public Command {
 public:
  std::string name() const override { return "doctor"; }
  std::string summary() const override { return "What the machine offers, and whether a model loads and works here."; }
  std::string examples() const override {
    return "  wde doctor\n"
           "  wde doctor --model all-MiniLM-L6-v2\n"
           "  wde doctor --model all-MiniLM-L6-v2 --task token_embed --json";
  }
  void add_flags(CLI::App& app) override {
    app.add_option(
           "--task", task_,
           "The task to load the model for. [default: embed, or what the model was made for if it does not embed]")
        ->option_text("NAME")
        ->take_last();
    app.add_flag("--json", json_, "One JSON object instead of text.");
    engine_flags_.add_to(app);
  }

  int run() override {
    EngineArgs args = engine_flags_.args_without_model(task_.empty() ? "embed" : task_);
    Findings findings;
    findings.machine = machine_facts();
    if (!args.get("model").empty()) examine_model(args, task_.empty(), findings);
    OutputSink sink("");
    sink.append(json_ ? as_json(findings) : as_text(findings));
    sink.close();
    return findings.problems.empty() ? kDone : kFailed;
  }

 private:
  using Clock = std::chrono::steady_clock;
  static double seconds_since(Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
  }

  static std::string task_for(const EngineArgs& args) {
    const ModelSummary summary = inspect_model(args);
    const auto& tasks = summary.tasks;
    return std::find(tasks.begin(), tasks.end(), "embed") != tasks.end() ? "embed" : summary.default_task;
  }

  // Finds problems where another command would fail: the rest of the page is still worth reading.
  static void examine_model(EngineArgs& args, bool any_task, Findings& findings) {
    try {
      if (any_task) args.set("task", task_for(args));
      const Clock::time_point begin = Clock::now();
      const std::unique_ptr<Engine> engine = Engine::create(args);
      findings.load_seconds = seconds_since(begin);
      findings.engine = engine->info();
      findings.serve_scheduler = serve_scheduler(args, engine->info());
      probe(*engine, findings);
    } catch (const UsageError&) {
      throw;
    } catch (const std::bad_alloc&) {
      findings.problems.push_back("out of memory: the model is larger than what this machine (or cgroup) has left");
    } catch (const std::exception& error) {
      findings.problems.push_back(error.what());
    }
  }

  static std::string serve_scheduler(EngineArgs args, const EngineInfo& info) {
    const auto own = std::find_if(info.modules.begin(), info.modules.end(),
                                  [](const auto& module) { return module.first == "scheduler"; });
    server::choose_scheduler(args);
    return own == info.modules.end() || own->second == args.get("scheduler") ? "" : args.get("scheduler");
  }

  static void probe(Engine& engine, Findings& findings) {
    const Clock::time_point begin = Clock::now();
    Result<Response> result = engine.submit(Request{kProbe, std::nullopt}).get();
    if (!result.ok()) {  // a cross-encoder takes only pairs
      const std::string reason = result.error().message;
      result = engine.submit(Request{TextPair{"What jumps over the dog?", kProbe}, std::nullopt}).get();
      if (!result.ok()) {
        findings.problems.push_back("the probe text failed: " + reason);
        return;
      }
    }
    findings.probe_seconds = seconds_since(begin);
    const Response& response = result.value();
    findings.probe_tokens = response.tokens;
    for (const Output& output : response.outputs) {
      if (!findings.probe_result.empty()) findings.probe_result += ", ";
      findings.probe_result += fmt::format("{} [{}]", output.name, fmt::join(output.shape, ", "));
    }
    if (const auto problem = problem_of(response)) findings.problems.push_back("the probe text: " + *problem);
  }

  std::string task_;
  bool json_ = false;
  EngineFlags engine_flags_;
};

}  // namespace

std::unique_ptr<Command> make_doctor_command() { return std::make_unique<DoctorCommand>(); }

}  // namespace wde::cli
