#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "cli/command.h"
#include "cli/download_bar.h"
#include "cli/output_sink.h"
#include "wde/hub.h"

namespace wde::cli {
namespace {

constexpr size_t kShortCommit = 12;

std::string as_json(const std::vector<CachedModel>& models) {
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  for (const CachedModel& model : models) {
    out.push_back({{"repo", model.repo},
                   {"revisions", model.refs},
                   {"commit", model.commit},
                   {"bytes", model.bytes},
                   {"complete", model.complete},
                   {"path", model.directory}});
  }
  return out.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::string as_text(const std::vector<CachedModel>& models) {
  if (models.empty()) return fmt::format("No models in {}; `wde pull REPO` downloads one.\n", hub_cache_directory());
  std::vector<std::vector<std::string>> rows = {{"REPO", "REVISION", "COMMIT", "SIZE", "PATH"}};
  for (const CachedModel& model : models) {
    const std::string refs = model.refs.empty() ? "-" : fmt::format("{}", fmt::join(model.refs, ","));
    rows.push_back({model.repo, refs, model.commit.substr(0, kShortCommit),
                    format_bytes(model.bytes) + (model.complete ? "" : " (incomplete)"), model.directory});
  }
  std::vector<size_t> widths(rows[0].size(), 0);
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows) {
    for (size_t i = 0; i + 1 < row.size(); ++i) out += fmt::format("{:<{}}  ", row[i], widths[i]);
    out += row.back() + "\n";
  }
  return out;
}

class LsCommand : public Command {
 public:
  std::string name() const override { return "ls"; }
  std::string summary() const override { return "The models in the cache of the Hugging Face Hub."; }
  std::string examples() const override {
    return "  wde ls\n"
           "  wde ls --json | jq -r '.[] | [.bytes, .repo] | @tsv' | sort -n\n"
           "\nA model is incomplete where a download broke off, or where another program took only some files;\n"
           "`wde pull` adds what is missing. Revisions of a model share the files that did not change.";
  }
  void add_flags(CLI::App& app) override {
    app.add_flag("--json", json_, "A JSON array of objects instead of a table.");
  }
  int run() override {
    const std::vector<CachedModel> models = cached_models();
    OutputSink sink("");
    sink.append(json_ ? as_json(models) : as_text(models));
    sink.close();
    return kDone;
  }

 private:
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> make_ls_command() { return std::make_unique<LsCommand>(); }

}  // namespace wde::cli
