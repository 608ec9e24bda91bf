#include "cli/engine_flags.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cli/download_bar.h"
#include "wde/engine.h"

namespace wde::cli {
namespace {

std::string placeholder(const ArgSpec& spec) {
  if (spec.kind == ArgSpec::Kind::kInteger) return "N";
  if (spec.name == "model") return "DIR|REPO";
  if (spec.name == "prompt") return "TEXT";
  if (spec.name == "plugin" || spec.name == "trace") return "FILE";
  if (spec.kind == ArgSpec::Kind::kChoice) return fmt::format("{}", fmt::join(spec.choices, "|"));
  return "NAME";
}

std::string description(const ArgSpec& spec) {
  std::string text = spec.help;
  if (!spec.default_value.empty()) text += fmt::format(" [default: {}]", spec.default_value);
  return text + fmt::format(" [env: {}]", spec.environment_variable());
}

}  // namespace

void EngineFlags::add_to(CLI::App& app, std::initializer_list<std::string_view> except) {
  for (const ArgSpec& spec : EngineArgs::table()) {
    if (spec.name == "task" || std::find(except.begin(), except.end(), spec.name) != except.end()) continue;
    Flag& flag = flags_.emplace_back();
    flag.name = spec.name;
    flag.option = app.add_option("--" + spec.name, flag.value, description(spec));
    flag.option->option_text(placeholder(spec))->group("Engine")->take_last();
  }
}

EngineArgs EngineFlags::args_without_model(std::string_view task) const {
  EngineArgs args;
  args.set("task", task);
  for (const Flag& flag : flags_) {
    if (flag.option->count() > 0) args.set(flag.name, flag.value);
  }
  args.read_environment();
  args.on_download(download_bar());
  load_plugins(args);
  return args;
}

EngineArgs EngineFlags::args(std::string_view task) const {
  EngineArgs args = args_without_model(task);
  if (args.get("model").empty()) {
    throw UsageError(
        "which model? Give --model DIR, a directory as it lies on the Hugging Face Hub (config.json, tokenizer.json, "
        "model.safetensors), or --model REPO, its name there (BAAI/bge-small-en-v1.5), or set WDE_MODEL.");
  }
  return args;
}

}  // namespace wde::cli
