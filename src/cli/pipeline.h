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

// Returns how many texts failed; each has its sentence on stderr. Does not return when the output cannot be written:
// the reader may be waiting for a line that never comes, so the process ends there (quietly for a closed pipe).
// Throws InputError, after the texts that were read have been answered and written.
uint64_t run_pipeline(Engine& engine, InputSource& source, RowWriter& writer, Progress& progress,
                      const PipelineLimits& limits);

}  // namespace wde::cli
