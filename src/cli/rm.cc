#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <string_view>

#include "cli/command.h"
#include "cli/download_bar.h"
#include "cli/line_reader.h"
#include "cli/output_sink.h"
#include "wde/hub.h"
#include "wde/result.h"

namespace wde::cli {
namespace {

std::string describe(const CacheRemoval& removal) {
  std::string out;
  for (const CachedModel& model : removal.models) {
    out += fmt::format("{}@{}  {}\n", model.repo, model.commit, model.directory);
  }
  // Only the remains of downloads that broke off.
  if (removal.models.empty()) {
    for (const std::string& path : removal.paths) out += path + "\n";
  }
  return out;
}

class RmCommand : public Command {
 public:
  std::string name() const override { return "rm"; }
  std::string summary() const override { return "Remove a model from the cache of the Hugging Face Hub."; }
  std::string examples() const override {
    return "  wde rm BAAI/bge-small-en-v1.5\n"
           "  wde rm BAAI/bge-small-en-v1.5@main\n"
           "  wde rm --dry-run BAAI/bge-small-en-v1.5\n"
           "\nThe cache is shared with the Python tools: for them the model is gone too. With @revision, files that\n"
           "another revision uses stay. It asks before it removes; scripts say --yes.";
  }
  void add_flags(CLI::App& app) override {
    app.add_option("REPO", repo_,
                   "owner/name for all revisions of a model; owner/name@revision for one: a branch, a tag, a commit or "
                   "the beginning of one, as `wde ls` shows them.")
        ->required();
    app.add_flag("--yes,-y", yes_, "Do not ask.");
    app.add_flag("--dry-run", dry_run_, "Only say what would be removed.");
  }

  int run() override {
    const CacheRemoval removal = plan_removal(repo_);
    OutputSink sink("");
    sink.append(describe(removal));
    if (!dry_run_ && !yes_ && !confirmed(sink, removal)) return kFailed;
    if (!dry_run_) remove_from_cache(removal);
    sink.append(fmt::format("{} {}.\n", format_bytes(removal.bytes), dry_run_ ? "would be freed" : "freed"));
    sink.close();
    return kDone;
  }

 private:
  static bool confirmed(OutputSink& sink, const CacheRemoval& removal) {
    if (::isatty(STDIN_FILENO) != 1) {
      throw UsageError("nothing was removed: there is no terminal to ask at; give --yes to remove without asking.");
    }
    sink.flush();
    (void)write_all(STDERR_FILENO, fmt::format("Remove this and free {}? [y/N] ", format_bytes(removal.bytes)));
    LineReader reader(STDIN_FILENO, "standard input");
    std::string answer;
    const bool answered = reader.next(answer) == LineReader::Status::kLine;
    if (answered && (answer == "y" || answer == "Y" || answer == "yes")) return true;
    (void)write_all(STDERR_FILENO, "wde rm: nothing was removed.\n");
    return false;
  }

  std::string repo_;
  bool yes_ = false;
  bool dry_run_ = false;
};

}  // namespace

std::unique_ptr<Command> make_rm_command() { return std::make_unique<RmCommand>(); }

}  // namespace wde::cli
