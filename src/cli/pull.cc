#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "cli/command.h"
#include "cli/download_bar.h"
#include "cli/output_sink.h"
#include "cli/printable.h"
#include "wde/hub.h"

namespace wde::cli {
namespace {

class PullCommand : public Command {
 public:
  std::string name() const override { return "pull"; }
  std::string summary() const override { return "Download a model of the Hugging Face Hub into the cache."; }
  std::string examples() const override {
    return "  wde pull BAAI/bge-small-en-v1.5\n"
           "  wde pull BAAI/bge-small-en-v1.5@refs/pr/7\n"
           "  HF_TOKEN=hf_... wde pull google/embeddinggemma-300m\n"
           "\nOnly the files that an engine reads are downloaded, and only those that are not there yet; what breaks "
           "off\n"
           "goes on at the next start. The directory is printed. The cache is the one of the Python tools; these\n"
           "variables mean what they mean there: HF_HOME, HF_HUB_CACHE, HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE.\n"
           "Other commands do the same by themselves: wde embed --model BAAI/bge-small-en-v1.5 \"a text\"";
  }
  void add_flags(CLI::App& app) override {
    app.add_option("REPO", repo_,
                   "The model: owner/name, or owner/name@revision for a branch, a tag or a commit. [default: @main]")
        ->required();
    app.add_flag("--quiet", quiet_, "No bar and no notes on standard error.");
  }

  int run() override {
    const ResolvedModel model = pull_model(repo_, quiet_ ? DownloadCallback() : download_bar());
    if (!quiet_) {
      for (const std::string& warning : model.warnings) {
        (void)write_all(STDERR_FILENO, fmt::format("wde: note: {}\n", printable(warning)));
      }
    }
    OutputSink sink("");
    sink.append(model.directory + "\n");
    sink.close();
    return kDone;
  }

 private:
  std::string repo_;
  bool quiet_ = false;
};

}  // namespace

std::unique_ptr<Command> make_pull_command() { return std::make_unique<PullCommand>(); }

}  // namespace wde::cli
