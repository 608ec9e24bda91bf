#include "cli/program.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <new>
#include <sstream>

#include "cli/command.h"
#include "cli/help_formatter.h"
#include "cli/output_sink.h"
#include "cli/printable.h"
#include "wde/engine.h"

namespace wde::cli {
namespace {

using Clock = std::chrono::steady_clock;
Clock::time_point started = Clock::now();

constexpr const char* kDescription =
    "wde: embeddings and other one-pass answers of transformer models, on CPUs.\n"
    "It reads checkpoints as they lie on the Hugging Face Hub.\n";
constexpr const char* kExamples = R"(Examples:
  wde embed --model all-MiniLM-L6-v2 "some text" "another"
  wde embed --model all-MiniLM-L6-v2 --input texts.jsonl --output vectors.npy --format npy
  wde doctor --model all-MiniLM-L6-v2

`wde COMMAND --help` tells the flags of a command. Every flag has an environment variable: WDE_MODEL for --model.
Exit status: 0 done, 1 something failed, 2 wrong use, 130 and 143 ended by SIGINT and SIGTERM.)";

void complain(std::string_view who, std::string_view sentence) {
  (void)write_all(STDERR_FILENO, fmt::format("{}: {}\n", who, printable(sentence)));
}

// A descriptor 0, 1 or 2 that is closed would be given to the next file that is opened, and our output with it.
// In its place comes one that refuses what the standard stream is for.
void occupy_standard_descriptors() {
  for (int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(descriptor, F_GETFD) == -1) {
      (void)::open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    }
  }
}

// CLI11 splits a positional "[a, b]", swallows "{}" and "++", and takes no text that is the name of a subcommand for
// what it is. So texts never pass through it: this takes them out and leaves the flags and their values.
std::vector<std::string> take_texts(const CLI::App& app, std::vector<std::string>& words) {
  std::vector<std::string> texts;
  std::vector<std::string> flags;
  for (size_t i = 0; i < words.size(); ++i) {
    std::string& word = words[i];
    if (word == "--") {
      texts.insert(texts.end(), words.begin() + static_cast<std::ptrdiff_t>(i) + 1, words.end());
      break;
    }
    // "-5 degrees" too: CLI11 as well takes what looks like a negative number for no flag.
    if (word.size() < 2 || word[0] != '-' || (word[1] >= '0' && word[1] <= '9')) {
      texts.push_back(std::move(word));
      continue;
    }
    const bool has_value = word.find('=') != std::string::npos;
    const CLI::Option* option = has_value ? nullptr : app.get_option_no_throw(word);
    flags.push_back(std::move(word));
    if (option != nullptr && option->get_items_expected_min() > 0 && i + 1 < words.size()) {
      flags.push_back(std::move(words[++i]));
      // All that follow, of --image a.png b.png.
      while (option->get_items_expected_max() > 1 && i + 1 < words.size() && !words[i + 1].starts_with('-'))
        flags.push_back(std::move(words[++i]));
    }
  }
  words = std::move(flags);
  return texts;
}

int wrong_use(const CLI::App* used, const CLI::ParseError& error) {
  std::string sentence = error.what();
  std::string who = "wde";
  if (used != nullptr) who += " " + used->get_name();
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr && used != nullptr) {
    sentence += " (a text that begins with - goes after --)";
  }
  complain(who, sentence);
  (void)write_all(STDERR_FILENO, fmt::format("`{} --help` shows the flags, with examples.\n", who));
  return kWrongUse;
}

// Errors become sentences, from the first allocation on.
template <class Call>
int guarded(const std::string& who, const Call& call) {
  try {
    return call();
  } catch (const ClosedPipe&) {
    return kFailed;  // `| head` has what it wanted: quietly
  } catch (const UsageError& error) {
    complain(who, error.what());
    return kWrongUse;
  } catch (const std::bad_alloc&) {
    complain(who, "out of memory: the model or the input is larger than what this machine (or cgroup) has left");
  } catch (const std::exception& error) {
    complain(who, error.what());
  }
  return kFailed;
}

int run_words(std::vector<std::string> words) {
  CLI::App app(kDescription, "wde");
  app.formatter(std::make_shared<HelpFormatter>());
  app.footer(kExamples);
  app.set_version_flag(
      "--version", [] { return "wde " + version(); }, "Print the version and leave.");
  app.get_help_ptr()->description("Print this help and leave.");
  app.require_subcommand(1);
  app.failure_message(CLI::FailureMessage::simple);

  const auto commands = all_commands();
  std::vector<CLI::App*> parsers;
  for (const auto& command : commands) {
    CLI::App* parser = app.add_subcommand(command->name(), command->summary());
    parser->group("Commands");
    parser->footer("Examples:\n" + command->examples());
    command->add_flags(*parser);
    parsers.push_back(parser);
  }

  if (words.empty()) {
    (void)write_all(STDERR_FILENO, app.help());
    return kWrongUse;
  }
  Command* chosen = nullptr;
  const CLI::App* parser = nullptr;
  for (size_t i = 0; i < commands.size(); ++i) {
    if (words[0] != commands[i]->name()) continue;
    chosen = commands[i].get();
    parser = parsers[i];
  }
  if (chosen == nullptr && !words[0].starts_with('-')) {
    complain("wde", fmt::format("there is no command \"{}\"", words[0]));
    (void)write_all(STDERR_FILENO, "`wde --help` lists the commands.\n");
    return kWrongUse;
  }
  if (chosen != nullptr && chosen->takes_texts()) {
    std::vector<std::string> rest(words.begin() + 1, words.end());
    chosen->set_texts(take_texts(*parser, rest));
    words.resize(1);
    words.insert(words.end(), rest.begin(), rest.end());
  }
  try {
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
  } catch (const CLI::Success& success) {  // --help, --version
    std::ostringstream out, problems;
    app.exit(success, out, problems);
    return write_all(STDOUT_FILENO, out.str()) == 0 ? kDone : kFailed;
  } catch (const CLI::ParseError& error) {
    return wrong_use(parser, error);
  }
  return guarded("wde " + chosen->name(), [&] { return chosen->run(); });
}

}  // namespace

Clock::time_point program_start() { return started; }
double seconds_since_start() { return std::chrono::duration<double>(Clock::now() - started).count(); }

int run_program(int argc, char** argv) {
  started = Clock::now();
  std::signal(SIGPIPE, SIG_IGN);
  occupy_standard_descriptors();
  return guarded("wde", [&] { return run_words({argv + std::min(argc, 1), argv + argc}); });
}

}  // namespace wde::cli
