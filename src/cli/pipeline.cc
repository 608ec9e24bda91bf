#include "cli/pipeline.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <exception>
#include <new>
#include <utility>

#include "base/thread_group.h"
#include "cli/command.h"
#include "cli/ordered_window.h"

namespace wde::cli {
namespace {

struct Row {
  Result<Response> result = Error{};
  uint64_t line = 0;
  uint64_t consumed = 0;
};
using Window = OrderedWindow<Row>;

class Writer {
 public:
  Writer(Window& window, const InputSource& source, RowWriter& rows, Progress& progress)
      : window_(window), source_(source), rows_(rows), progress_(progress) {}

  uint64_t failed() const { return failed_; }

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
    const milliseconds idle = progress_.shown() ? milliseconds(100) : milliseconds(3'600'000);
    bool flushed = true;
    Row row;
    for (uint64_t index = 0;;) {
      const Window::Next state = window_.next(row, flushed ? idle : milliseconds(0));
      if (state == Window::Next::kEnd) break;
      if (state == Window::Next::kNotReady) {
        if (!flushed) rows_.flush();
        flushed = true;
        progress_.tick();
        continue;
      }
      write_row(index++, row);
      row.result = Error{};  // a large response must not live until the next one comes
      flushed = false;
    }
    rows_.finish();
    progress_.finish();
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
      ++failed_;
      rows_.write_error(index, *problem);
      progress_.message(source_.where(row.line) + ": " + *problem);
    }
    progress_.row(tokens, problem.has_value(), row.consumed);
  }

  Window& window_;
  const InputSource& source_;
  RowWriter& rows_;
  Progress& progress_;
  uint64_t failed_ = 0;
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

uint64_t run_pipeline(Engine& engine, InputSource& source, RowWriter& rows, Progress& progress,
                      const PipelineLimits& limits) {
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
        window.complete(slot, {item->request.error(), line, consumed});
        continue;
      }
      engine.submit(std::move(item->request).value(), [&window, slot, line, consumed](Result<Response> result) {
        window.complete(slot, {std::move(result), line, consumed});
      });
    }
  }
  return writer.failed();
}

}  // namespace wde::cli
