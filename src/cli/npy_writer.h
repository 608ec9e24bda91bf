// NpyWriter: float32 rows as one NumPy array (format version 1.0), written while they come.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "cli/row_writer.h"

namespace wde::cli {

// Magic, version and a dictionary of a fixed length, so that it can be rewritten when the number of rows is known.
inline constexpr size_t kNpyHeaderBytes = 128;
std::string npy_header(uint64_t rows, uint64_t columns);

// The first output of each response: [n] is one row, [n, m] is n rows. A failed text is a row of NaN.
// A regular file gets its header rewritten as rows come; anything else is spooled to an unlinked temporary file first.
class NpyWriter : public RowWriter {
 public:
  // `columns`: what the engine says of its dimensions, 0: the first response tells.
  NpyWriter(OutputSink& sink, uint64_t columns);
  ~NpyWriter() override;
  std::optional<std::string> write(uint64_t index, const Response& response) override;
  void write_error(uint64_t index, std::string_view message) override;
  // The header says at any moment how many whole rows stand behind it in the file, whatever ends the process.
  void flush() override;
  void finish() override;
  bool usable_in_part() const override { return header_position_.has_value(); }

 private:
  void append(const void* bytes, size_t size);
  void append_failed_rows();
  void flush_spool();
  [[noreturn]] void fail_spool(int error) const;

  OutputSink& sink_;
  uint64_t columns_;
  uint64_t rows_ = 0;
  uint64_t rows_in_header_ = 0;
  size_t unsaid_bytes_ = 0;             // of rows that the header does not count yet
  uint64_t failed_before_columns_ = 0;  // failed rows that wait until the number of columns is known
  std::optional<uint64_t> header_position_;
  int spool_ = -1;
  std::string spool_buffer_;
};

}  // namespace wde::cli
