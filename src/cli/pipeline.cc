#include "cli/pipeline.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <exception>
#include <new>
#include <utility>

#include "base/thread_group.h"
#include "cli/command.h"
#include "cli/error_tally.h"
#include "cli/interrupt.h"
#include "cli/ordered_window.h"

namespace wde::cli {
namespace {

struct Row {
  Result<Response> result = Error{};
  uint64_t line = 0;
  uint64_t consumed = 0;
  bool understood = true;  // the line was; the text may have failed all the same
};
using Window = OrderedWindow<Row>;

class Writer {
 public:
  Writer(Window& window, const InputSource& source, RowWriter& rows, Progress& progress)
      : window_(window), source_(source), rows_(rows), progress_(progress) {}

  const PipelineCounts& counts() const { return counts_; }

  void run() noexcept {
    try {
      write_all_rows();
    } catch (const ClosedPipe&) {
      std::_Exit(kFailed);
    } catch (const std::bad_alloc&) {
      progress_.message("out of memory while writing the results");
      std::_Exit(kFailed);
    } catch (const std::exception& error) {
      progress_.message(error.what());
      std::_Exit(kFailed);
    }
  }

 private:
  void write_all_rows() {
    using std::chrono::milliseconds;
    constexpr milliseconds idle(100);
    bool flushed = true;
    Row row;
    for (;;) {
      if (const int signal = Interrupt::signal()) stop_for(signal);
      const Window::Next state = window_.next(row, flushed ? idle : milliseconds(0));
      if (state == Window::Next::kEnd) break;
      if (state == Window::Next::kNotReady) {
        if (!flushed) rows_.flush();
        flushed = true;
        progress_.tick();
        continue;
      }
      write_row(counts_.texts++, row);
      row.result = Error{};  // a large response must not live until the next one comes
      flushed = false;
    }
    rows_.finish();
    count_errors();
    progress_.finish();
  }

  [[noreturn]] void stop_for(int signal) {
    rows_.flush();
    const uint64_t written = rows_.usable_in_part() ? counts_.texts : 0;
    count_errors();
    const std::optional<uint64_t> all = counts_.texts > 0 ? source_.total_items() : std::nullopt;
    progress_.message(fmt::format("ended by {}: {} of {} texts written", Interrupt::name(signal), written,
                                  all ? fmt::format("{}", *all) : "an unknown number of"));
    std::_Exit(Interrupt::exit_status(signal));
  }

  // The sentence of a text that failed; of many of one kind the first ones.
  void complain(const Row& row, const std::string& problem) {
    const std::string where = source_.where(row.line);
    if (errors_.add(problem, where)) progress_.message(where + ": " + problem);
    if (errors_.in_a_row() < ErrorTally::kShown || (row.understood && counts_.failed < counts_.texts)) return;
    rows_.finish();
    count_errors();
    progress_.message(
        fmt::format("stopped: {} in a row failed in the same way; {}", ErrorTally::kShown,
                    row.understood ? "no text has succeeded" : "is the input what --input-format says (see --help)?"));
    std::_Exit(kFailed);
  }

  void count_errors() {
    for (const std::string& sentence : errors_.not_shown()) progress_.message(sentence);
  }

  void write_row(uint64_t index, const Row& row) {
    std::optional<std::string> problem;
    size_t tokens = 0;
    if (row.result.ok()) {
      tokens = row.result.value().tokens;
      problem = rows_.write(index, row.result.value());
    } else {
      problem = row.result.error().message;
    }
    if (problem) {
      ++counts_.failed;
      rows_.write_error(index, *problem);
      complain(row, *problem);
    } else {
      if (row.result.value().truncated) ++counts_.truncated;
      errors_.success();
    }
    progress_.row(tokens, problem.has_value(), row.consumed);
  }

  Window& window_;
  const InputSource& source_;
  RowWriter& rows_;
  Progress& progress_;
  PipelineCounts counts_;
  ErrorTally errors_;
};

// Joins the writer on every way out. The engine answers what was submitted, so it comes to an end.
class WriterThread {
 public:
  WriterThread(Window& window, Writer& writer) : window_(window) {
    thread_.start("wde-writer", [&writer] { writer.run(); });
  }
  ~WriterThread() {
    window_.close();
    thread_.join();
  }
  WriterThread(const WriterThread&) = delete;
  WriterThread& operator=(const WriterThread&) = delete;

 private:
  Window& window_;
  ThreadGroup thread_;
};

}  // namespace

PipelineCounts run_pipeline(Engine& engine, InputSource& source, RowWriter& rows, Progress& progress,
                            const PipelineLimits& limits) {
  const Interrupt interrupt;
  Window window(limits.max_items, limits.max_bytes);
  Writer writer(window, source, rows, progress);
  progress.start();
  {
    const WriterThread thread(window, writer);
    while (std::optional<InputItem> item = source.next()) {
      const uint64_t slot = window.reserve(limits.cost(item->bytes));
      const uint64_t line = item->line;
      const uint64_t consumed = item->consumed;
      if (!item->request.ok()) {
        window.complete(slot, {item->request.error(), line, consumed, false});
        continue;
      }
      engine.submit(std::move(item->request).value(), [&window, slot, line, consumed](Result<Response> result) {
        window.complete(slot, {std::move(result), line, consumed, true});
      });
    }
  }
  return writer.counts();
}

}  // namespace wde::cli
