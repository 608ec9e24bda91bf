#include "mutation/trial.h"

#include <algorithm>
#include <cmath>
#include <future>

#include <fmt/format.h>

#include "wde/engine.h"

namespace wde::mutation {
namespace {

namespace fs = std::filesystem;

std::vector<Request> inputs(bool images, const fs::path& folder) {
  std::string many;
  for (size_t i = 0; i < 1500; ++i) many += i % 7 == 0 ? "Überwachung, " : "panda 12 ";
  using namespace std::string_literals;
  std::vector<Request> out = {{std::string("What is the capital of France?")},
                              {std::string()},
                              {many},
                              {"a\0b \xF0\x9F\x8E\x89 <mask> [SEP] </s>\n\t"s},
                              {TextPair{"what is a panda?", "The giant panda is a bear."}},
                              {TextPair{"", many}},
                              {TokenIds{{0, 1, 2, 3}}},
                              {TokenIds{{-1}}},
                              {TokenIds{{INT32_MAX}}}};
  if (images) {
    for (const auto& entry : fs::directory_iterator(folder)) {
      out.push_back({Image{read_file(entry.path())}});
      if (out.size() > 10) break;
    }
  }
  return out;
}

// "" if all is as it must be.
std::string fault_of(const Result<Response>& result) {
  if (!result.ok()) return result.error().message.empty() ? "an error without a sentence" : "";
  for (const Output& output : result.value().outputs) {
    size_t values = 1;
    for (const size_t d : output.shape) values *= d;
    if (output.name != "ids" && output.values.size() != values) return output.name + ": values do not fit the shape";
    for (const float v : output.values) {
      if (!std::isfinite(v)) return output.name + ": not finite";
    }
  }
  return "";
}

void try_task(const EngineArgs& args, const fs::path& images, Outcome& out) {
  const std::unique_ptr<Engine> engine = Engine::create(args);
  std::vector<std::future<Result<Response>>> waiting;
  for (Request& request : inputs(engine->info().images, images)) waiting.push_back(engine->submit(std::move(request)));
  for (auto& future : waiting) {
    const Result<Response> result = future.get();
    if (const std::string fault = fault_of(result); !fault.empty() && out.fault.empty()) out.fault = fault;
    std::vector<float>& answer = out.answers.emplace_back();
    if (!result.ok()) continue;
    for (const Output& output : result.value().outputs) {
      answer.insert(answer.end(), output.values.begin(), output.values.end());
      answer.insert(answer.end(), output.ids.begin(), output.ids.end());
    }
  }
}

}  // namespace

Outcome try_model(const fs::path& model, const fs::path& images, Random random) {
  Outcome out;
  try {
    EngineArgs args;
    args.set("model", model.string()).set("workers", "2");
    const std::vector<std::string> formats = {"float32", "float32", "int8", "bfloat16"};
    args.set("dtype", random.pick(formats));
    const ModelSummary summary = inspect_model(args);
    std::vector<std::string> tasks = {summary.default_task};
    if (!summary.tasks.empty()) tasks.push_back(random.pick(summary.tasks));
    tasks.push_back("tokenize");
    for (size_t i = 0; i < tasks.size(); ++i) {
      if (tasks[i].empty() || std::find(tasks.begin(), tasks.begin() + static_cast<ptrdiff_t>(i), tasks[i]) !=
                                  tasks.begin() + static_cast<ptrdiff_t>(i)) {
        continue;
      }
      args.set("task", tasks[i]);
      try {
        try_task(args, images, out);
      } catch (const LoadError& error) {
        out.refused = true;
        out.sentence = error.what();
      } catch (const UsageError& error) {
        out.refused = true;
        out.sentence = error.what();
      }
    }
  } catch (const LoadError& error) {
    out.refused = true;
    out.sentence = error.what();
  } catch (const UsageError& error) {
    out.refused = true;
    out.sentence = error.what();
  } catch (const std::exception& error) {
    out.fault = fmt::format("an exception that is neither a LoadError nor a UsageError: {}", error.what());
  }
  if (out.refused && out.sentence.size() < 10) out.fault = fmt::format("no sentence: '{}'", out.sentence);
  return out;
}

}  // namespace wde::mutation
