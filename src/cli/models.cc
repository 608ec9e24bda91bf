#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/json_object.h"
#include "cli/output_sink.h"
#include "wde/engine.h"

namespace wde::cli {
namespace {

std::string as_json() {
  nlohmann::ordered_json models = nlohmann::ordered_json::array();
  for (const ModelEntry& model : registered_models()) {
    models.push_back({{"architecture", model.architecture},
                      {"model_type", model.model_type},
                      {"workflows", to_object(model.workflows)}});
  }
  nlohmann::ordered_json workflows = nlohmann::ordered_json::array();
  for (const WorkflowEntry& workflow : registered_workflows()) {
    workflows.push_back({{"name", workflow.name}, {"help", workflow.help}, {"modules", to_object(workflow.modules)}});
  }
  nlohmann::ordered_json modules = nlohmann::ordered_json::object();
  for (const auto& [seam, names] : registered_modules()) modules[seam] = names;
  return nlohmann::ordered_json{{"models", models}, {"workflows", workflows}, {"modules", modules}}.dump(2) + "\n";
}

std::string as_text() {
  std::string out = "Architectures (task -> workflow):\n";
  for (const ModelEntry& model : registered_models()) {
    out += fmt::format("  {} ({})\n", model.architecture, model.model_type);
    for (const auto& [task, workflow] : model.workflows) out += fmt::format("    {:<14} -> {}\n", task, workflow);
  }
  out += "\nWorkflows (--workflow NAME):\n";
  for (const WorkflowEntry& workflow : registered_workflows()) {
    out += fmt::format("  {}: {}\n", workflow.name, workflow.help);
    for (const auto& [seam, module] : workflow.modules) out += fmt::format("    {:<22} {}\n", seam, module);
  }
  out += "\nModules:\n";
  for (const auto& [seam, names] : registered_modules()) {
    out += fmt::format("  {:<24} {}\n", seam, fmt::join(names, ", "));
  }
  return out;
}

class ModelsCommand : public Command {
 public:
  std::string name() const override { return "models"; }
  std::string summary() const override { return "What is built in: architectures, workflows, modules."; }
  std::string examples() const override { return "  wde models\n  wde models --json | jq -r '.models[].architecture'"; }
  void add_flags(CLI::App& app) override {
    app.add_flag("--json", json_, "One JSON object instead of a table.");
    app.add_option("--plugin", plugins_, "Count what this plug-in brings; may be given several times.")
        ->option_text("FILE")
        ->allow_extra_args(false);
  }
  int run() override {
    for (const std::string& file : plugins_) load_plugin(file);
    OutputSink sink("");
    sink.append(json_ ? as_json() : as_text());
    sink.close();
    return kDone;
  }

 private:
  bool json_ = false;
  std::vector<std::string> plugins_;
};

}  // namespace

std::unique_ptr<Command> make_models_command() { return std::make_unique<ModelsCommand>(); }

}  // namespace wde::cli
