#include "cli/io_flags.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <map>
#include <utility>

#include "wde/result.h"

namespace wde::cli {
namespace {

// The two TEXT arguments of a command that takes pairs.
class PairSource : public InputSource {
 public:
  explicit PairSource(TextPair pair) : pair_(std::move(pair)) {}
  std::optional<InputItem> next() override {
    if (!pair_) return std::nullopt;
    InputItem item;
    item.line = 1;
    item.bytes = pair_->query.size() + pair_->document.size();
    item.request = Request{std::move(*pair_)};
    pair_.reset();
    return item;
  }
  std::string where(uint64_t) const override { return "the pair"; }
  std::optional<uint64_t> total_items() const override { return 1; }

 private:
  std::optional<TextPair> pair_;
};

// Of a command that takes pairs: any other line is an error of its own.
void require_pair(InputItem& item) {
  if (!item.request.ok() || std::holds_alternative<TextPair>(item.request.value().input)) return;
  item.request = Error{ErrorCode::kInvalidInput,
                       R"(expected the pair {"query": "…", "document": "…"}, found a single text or an image)"};
}

// For the help page only: the texts themselves do not pass through CLI11 (program.cc says why).
void add_text_help(CLI::App& app) {
  static std::vector<std::string> unused;
  app.add_option("TEXT", unused,
                 "Texts, one result each; one that begins with - goes after --. Without TEXT and --input, standard "
                 "input is read.");
}

}  // namespace

void InputFlags::add_to(CLI::App& app, bool images) {
  add_text_help(app);
  if (images) {
    app.add_option("--image", images_,
                   "JPEG or PNG files, for a model that takes images; one result each, behind those of the texts.")
        ->option_text("FILE...")
        ->group("Input and output");
  }
  app.add_option(
         "--input", input_,
         "Read the texts from FILE, one a line, or a JSON array of them; - is standard input. Results are written "
         "while lines come. A line or element may have 64 MiB; a byte order mark at the beginning is dropped. "
         "Compressed files, tables and UTF-16 are refused, with the command that converts them.")
      ->option_text("FILE")
      ->group("Input and output")
      ->take_last();
  app.add_option(
         "--input-format", input_format_,
         R"(jsonl: a line is a string "…", or {"text":"…"}, or the pair {"query":"…","document":"…"}, or the file of an image {"image":"…"}; )"
         "other keys and blank lines are skipped. text: a line is a text as it stands, without its end \\n or "
         "\\r\\n; an empty line is an empty text. auto: jsonl for .jsonl, .ndjson and .json, text for .txt; "
         "else the first line that is not empty decides: jsonl if it is such a string or object, else text. "
         "[default: auto]")
      ->option_text("auto|jsonl|text")
      ->check(CLI::IsMember({"auto", "jsonl", "text"}))
      ->group("Input and output")
      ->take_last();
}

std::string InputFlags::path() const {
  if (!texts_.empty() || !images_.empty()) return "";
  return input_.empty() ? "-" : input_;
}

std::unique_ptr<InputSource> InputFlags::open() {
  const bool arguments = !texts_.empty() || !images_.empty();
  if (arguments && !input_.empty()) {
    throw UsageError("texts or images were given as arguments and also by --input: give one of them.");
  }
  if (pair_ && texts_.size() == 2) {
    TextPair pair{std::move(texts_[0]), std::move(texts_[1])};
    texts_.clear();
    return std::make_unique<PairSource>(std::move(pair));
  }
  if (pair_ && !texts_.empty()) {
    throw UsageError(
        fmt::format("expected one pair, \"a question\" \"a document\", found {}. For several pairs give lines "
                    "{{\"query\": …, \"document\": …}} with --input; `wde rerank` compares one query with many "
                    "documents.",
                    texts_.size() == 1 ? "a single text" : fmt::format("{} texts", texts_.size())));
  }
  if (arguments) return std::make_unique<ArgumentSource>(std::exchange(texts_, {}), std::exchange(images_, {}));
  if (input_.empty() && ::isatty(STDIN_FILENO) == 1) {
    throw UsageError(
        "no text was given. Give texts as arguments, or a file of lines with --input FILE, or pipe lines in "
        "(--input - reads them from this terminal).");
  }
  std::unique_ptr<InputSource> source = open_input(path(), parse_input_format(input_format_));
  if (pair_) return std::make_unique<EditedSource>(std::move(source), require_pair);
  return source;
}

void OutputFlags::add_to(CLI::App& app, const std::vector<std::string>& formats) {
  static const std::map<std::string, std::string> kMeaning = {
      {"jsonl", R"(jsonl: {"index":0,…} a line, in the order of the input; {"index":0,"error":"…"} for a text )"
                "that failed."},
      {"npy", "npy: one float32 NumPy array; a row of NaN for a text that failed."},
      {"text", "text: values separated by spaces, a text (or token) a line."}};
  std::string help;
  std::string choices;
  for (const std::string& name : formats) {
    help += kMeaning.at(name) + " ";
    choices += (choices.empty() ? "" : "|") + name;
  }
  format = formats.front();
  app.add_option("--format", format, help + fmt::format("[default: {}]", format))
      ->option_text(choices)
      ->check(CLI::IsMember(formats))
      ->group("Input and output")
      ->take_last();
  app.add_option("--output", output, "Write to FILE instead of standard output; what it held is lost.")
      ->option_text("FILE")
      ->group("Input and output")
      ->take_last();
  app.add_flag("--quiet", quiet, "No progress bar and no notes on the terminal.")->group("Input and output");
}

bool same_file(const std::string& input, const std::string& output) {
  struct stat in = {}, out = {};
  const bool have_in = input == "-" ? ::fstat(STDIN_FILENO, &in) == 0 : ::stat(input.c_str(), &in) == 0;
  return have_in && ::stat(output.c_str(), &out) == 0 && S_ISREG(in.st_mode) && in.st_dev == out.st_dev &&
         in.st_ino == out.st_ino;
}

}  // namespace wde::cli
