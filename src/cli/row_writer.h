// RowWriter: how responses leave: JSONL, lines of text, or one NumPy array.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cli/output_sink.h"
#include "wde/response.h"

namespace wde::cli {

// Appends `"name":value` pairs for one response, without the braces.
using JsonFields = std::function<void(const Response&, std::string&)>;
// Appends one or more whole lines for one response.
using TextLines = std::function<void(const Response&, std::string&)>;

// The general rules: every output by its name, [n] -> a list or line, [n, m] -> a list of lists or a line each.
void append_output_fields(const Response& response, std::string& out);
void append_output_lines(const Response& response, std::string& out);

// What is wrong with a response's numbers: not finite, or not as many as the shape says. nullopt: nothing.
std::optional<std::string> problem_of(const Response& response);

class RowWriter {
 public:
  virtual ~RowWriter() = default;
  // Rows come in the order of their index. nullopt: written. Else the sentence why this response cannot be, and
  // nothing was written: the caller goes on with write_error(). Throws OutputError.
  [[nodiscard]] virtual std::optional<std::string> write(uint64_t index, const Response& response) = 0;
  virtual void write_error(uint64_t index, std::string_view message) = 0;
  // What was written so far can be read from now on.
  virtual void flush() = 0;
  virtual void finish() = 0;  // all rows have come
  // False: nothing can be read before finish().
  virtual bool usable_in_part() const { return true; }
};

class JsonlWriter : public RowWriter {
 public:
  JsonlWriter(OutputSink& sink, JsonFields fields) : sink_(sink), fields_(std::move(fields)) {}
  std::optional<std::string> write(uint64_t index, const Response& response) override;
  void write_error(uint64_t index, std::string_view message) override;
  void flush() override { sink_.flush(); }
  void finish() override { sink_.close(); }

 private:
  OutputSink& sink_;
  JsonFields fields_;
};

// A text's lines; with `blocks` a blank line stands between texts. A failed text is an empty line or an empty block.
class TextWriter : public RowWriter {
 public:
  TextWriter(OutputSink& sink, TextLines lines, bool blocks) : sink_(sink), lines_(std::move(lines)), blocks_(blocks) {}
  std::optional<std::string> write(uint64_t index, const Response& response) override;
  void write_error(uint64_t index, std::string_view message) override;
  void flush() override { sink_.flush(); }
  void finish() override { sink_.close(); }

 private:
  OutputSink& sink_;
  TextLines lines_;
  bool blocks_;
};

}  // namespace wde::cli
