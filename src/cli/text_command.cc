#include "cli/text_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <utility>

#include "cli/npy_writer.h"
#include "cli/pipeline.h"
#include "cli/progress.h"
#include "cli/result_fields.h"
#include "wde/engine.h"

namespace wde::cli {
namespace {

constexpr size_t kMaxResultBytes = size_t{256} << 20;

// The one item that a source was found to have.
class SingleItemSource : public InputSource {
 public:
  SingleItemSource(std::unique_ptr<InputSource> origin, InputItem item)
      : origin_(std::move(origin)), item_(std::move(item)) {}
  std::optional<InputItem> next() override { return std::exchange(item_, std::nullopt); }
  std::string where(uint64_t line) const override { return origin_->where(line); }

 private:
  std::unique_ptr<InputSource> origin_;
  std::optional<InputItem> item_;
};

// Read before the model is loaded, so that a second text is a matter of wrong use and not of lost work.
std::unique_ptr<InputSource> exactly_one(std::unique_ptr<InputSource> source, const std::string& command) {
  std::optional<InputItem> first = source->next();
  if (!first || source->next()) {
    throw UsageError(
        fmt::format("--format npy of `wde {}` holds the tokens of exactly one text, and there {}; use --format jsonl.",
                    command, first ? "are more" : "is none"));
  }
  return std::make_unique<SingleItemSource>(std::move(source), std::move(*first));
}

// Tokens are at most as many as bytes and special tokens, and a model's maximum.
PipelineLimits limits_of(const TextTask& task, const EngineInfo& info) {
  PipelineLimits limits;
  if (task.row_per_token) {
    limits.max_bytes = kMaxResultBytes;
    limits.cost = [max = info.max_length, row = info.dimensions * sizeof(float)](size_t text_bytes) {
      const size_t tokens = text_bytes + 8;
      return text_bytes + row * (max > 0 ? std::min(max, tokens) : tokens);
    };
  } else if (task.result_bytes_per_text_byte > 0) {
    limits.max_bytes = kMaxResultBytes;
    limits.cost = [factor = 1 + task.result_bytes_per_text_byte](size_t text_bytes) { return text_bytes * factor; };
  }
  return limits;
}

}  // namespace

void TextCommand::add_flags(CLI::App& app) {
  if (task_.pairs) input_flags_.take_pair();
  input_flags_.add_to(app, task_.images);
  output_flags_.add_to(app, task_.formats);
  if (task_.raw_flag) app.add_flag("--raw", flags_.raw, "Logits instead of what the model's activation makes of them.");
  if (task_.aggregation_flag) {
    app.add_option(
           "--aggregation", flags_.aggregation,
           "How tokens become entities, as in transformers' pipeline: an entity a token (none), neighbours of one "
           "group together (simple), or whole words first, each by its first token, the mean of its tokens or the "
           "surest one (first, average, max).")
        ->option_text("none|simple|first|average|max")
        ->check(CLI::IsMember({"none", "simple", "first", "average", "max"}));
  }
  if (task_.embedding_flags) {
    app.add_option("--dimensions", dimensions_,
                   "Keep only the first N values, for models that were trained for it (matryoshka); vectors that were "
                   "normalised are again.")
        ->option_text("N")
        ->check(CLI::Range(1, 1 << 20));
    app.add_option("--normalize", normalize_, "Vectors of length 1. [default: auto, as the model's files say]")
        ->option_text("auto|yes|no")
        ->check(CLI::IsMember({"auto", "yes", "no"}));
    app.add_flag("--all", all_,
                 "Weights of vocabulary entries and a vector for every token too, all from one pass (bge-m3), as "
                 "\"embedding\", \"sparse\" and \"vectors\".");
  }
  engine_flags_.add_to(app);
}

void TextCommand::set_options(Request& request) const {
  request.dimensions = dimensions_;
  if (normalize_ != "auto") request.normalize = normalize_ == "yes";
}

std::unique_ptr<RowWriter> TextCommand::make_writer(OutputSink& sink, const EngineInfo& info) const {
  const size_t columns = dimensions_ > 0 ? std::min(dimensions_, info.dimensions) : info.dimensions;
  if (output_flags_.format == "npy") return std::make_unique<NpyWriter>(sink, columns);
  if (output_flags_.format == "text") return std::make_unique<TextWriter>(sink, task_.text_lines, task_.row_per_token);
  return std::make_unique<JsonlWriter>(sink, task_.make_fields ? task_.make_fields(info, flags_) : task_.json_fields);
}

void TextCommand::ask_for_all() {
  if (output_flags_.format != "jsonl") throw UsageError("--all gives three kinds of results: use --format jsonl.");
  task_.task = "all";
  task_.row_per_token = true;
  task_.json_fields = append_kinds;
}

int TextCommand::run() {
  if (all_) ask_for_all();
  EngineArgs args = engine_flags_.args(task_.task);
  if (output_flags_.quiet) args.on_download({});
  const std::string input_path = input_flags_.path();
  const bool to_stdout = output_flags_.output.empty() || output_flags_.output == "-";
  if (!to_stdout && !input_path.empty() && same_file(input_path, output_flags_.output)) {
    throw UsageError(fmt::format("--output {} is also the input, which would be lost.", output_flags_.output));
  }
  if (output_flags_.format == "npy" && to_stdout && ::isatty(STDOUT_FILENO) == 1) {
    throw UsageError("--format npy is not for a terminal: give --output FILE.");
  }
  std::unique_ptr<InputSource> source = std::make_unique<EditedSource>(input_flags_.open(), [this](InputItem& item) {
    if (item.request.ok()) set_options(item.request.value());
  });
  if (task_.row_per_token && output_flags_.format == "npy") source = exactly_one(std::move(source), task_.command);

  const std::unique_ptr<Engine> engine = Engine::create(args);
  if (!output_flags_.quiet) {
    for (const std::string& warning : engine->info().warnings) say("wde: note: " + warning);
  }
  OutputSink sink(output_flags_.output);
  const std::unique_ptr<RowWriter> writer = make_writer(sink, engine->info());
  const bool shown = !output_flags_.quiet && !input_path.empty() && ::isatty(STDERR_FILENO) == 1 &&
                     !(to_stdout && ::isatty(STDOUT_FILENO) == 1);
  Progress progress(shown, task_.command, source->total_bytes());
  const PipelineCounts counts = run_pipeline(*engine, *source, *writer, progress, limits_of(task_, engine->info()));
  if (counts.truncated > 0 && !output_flags_.quiet) {
    say(fmt::format("wde {}: note: {} of {} texts were longer than the {} tokens of the model's maximum and were cut",
                    task_.command, counts.truncated, counts.texts, engine->info().max_length));
  }
  return counts.failed > 0 ? kFailed : kDone;
}

}  // namespace wde::cli
