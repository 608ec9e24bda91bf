// Command: one subcommand of `wde`. A new one is a file of its own and a line in commands.cc.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace wde::cli {

enum ExitStatus { kDone = 0, kFailed = 1, kWrongUse = 2 };

class Command {
 public:
  virtual ~Command() = default;
  virtual std::string name() const = 0;
  virtual std::string summary() const = 0;   // a sentence for the list of commands
  virtual std::string examples() const = 0;  // the end of --help: real commands, two spaces in
  virtual void add_flags(CLI::App& app) = 0;
  // Whether words that are no flags are texts; they come through set_texts() as they were typed.
  virtual bool takes_texts() const { return false; }
  virtual void set_texts(std::vector<std::string>) {}
  // An ExitStatus. UsageError -> kWrongUse, any other exception -> kFailed, each with its sentence.
  virtual int run() = 0;
};

std::unique_ptr<Command> make_embed_command();
std::unique_ptr<Command> make_hidden_command();
std::unique_ptr<Command> make_score_command();
std::unique_ptr<Command> make_rerank_command();
std::unique_ptr<Command> make_classify_command();
std::unique_ptr<Command> make_token_classify_command();
std::unique_ptr<Command> make_sparse_command();
std::unique_ptr<Command> make_multi_vector_command();
std::unique_ptr<Command> make_tokenize_command();
std::unique_ptr<Command> make_serve_command();
std::unique_ptr<Command> make_bench_command();
std::unique_ptr<Command> make_pull_command();
std::unique_ptr<Command> make_ls_command();
std::unique_ptr<Command> make_rm_command();
std::unique_ptr<Command> make_models_command();
std::unique_ptr<Command> make_doctor_command();

// In the order of `wde --help`.
std::vector<std::unique_ptr<Command>> all_commands();

}  // namespace wde::cli
