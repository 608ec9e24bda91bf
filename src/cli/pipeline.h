// The pipeline of the text commands: this thread reads and submits, the engine's threads answer, a writer thread
// writes in input order. Memory stays flat however long the input is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "cli/input_reader.h"
#include "cli/progress.h"
#include "cli/row_writer.h"
#include "wde/engine.h"

namespace wde::cli {

struct PipelineLimits {
  size_t max_items = 4096;              // submitted and not yet written
  size_t max_bytes = size_t{32} << 20;  // of text, and of results as `cost` guesses them
  // Bytes that a text of so many bytes occupies while it is under way, its result included where that is large.
  std::function<size_t(size_t text_bytes)> cost = [](size_t text_bytes) { return text_bytes; };
};

struct PipelineCounts {
  uint64_t texts = 0, failed = 0;
  uint64_t truncated = 0;  // cut to the model's maximum
};

// A text that fails has its sentence on stderr. Throws InputError, after the texts that were read have been answered
// and written. Does not return, because the reader may be waiting for a line that never comes, and the process ends
//  - when the output cannot be written (quietly for a closed pipe),
//  - when a signal says so (interrupt.h): what is there is written, and how much of it is said,
//  - when twenty lines in a row cannot be understood, or the first twenty texts fail, all in the same way.
PipelineCounts run_pipeline(Engine& engine, InputSource& source, RowWriter& writer, Progress& progress,
                            const PipelineLimits& limits);

}  // namespace wde::cli
