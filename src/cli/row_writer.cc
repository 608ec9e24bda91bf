#include "cli/row_writer.h"

#include <fmt/format.h>

#include <cmath>
#include <span>

#include "base/json_text.h"

namespace wde::cli {
namespace {

template <class Number>
void append_joined(std::string& out, std::span<const Number> values, char separator) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) out += separator;
    append_number(out, values[i]);
  }
}

size_t rows_of(const Output& output) { return output.shape.size() == 2 ? output.shape[0] : 1; }
bool is_matrix(const Output& output) { return output.shape.size() == 2; }

template <class Number>
void append_json_value(std::string& out, const Output& output, std::span<const Number> values) {
  if (output.shape.empty()) {
    append_joined(out, values, ',');
    return;
  }
  if (!is_matrix(output)) {
    out += '[';
    append_joined(out, values, ',');
    out += ']';
    return;
  }
  const size_t columns = output.shape[1];
  out += '[';
  for (size_t row = 0; row < output.shape[0]; ++row) {
    out += row > 0 ? ",[" : "[";
    append_joined(out, values.subspan(row * columns, columns), ',');
    out += ']';
  }
  out += ']';
}

template <class Number>
void append_text_value(std::string& out, const Output& output, std::span<const Number> values) {
  const size_t columns = values.size() / std::max<size_t>(1, rows_of(output));
  for (size_t row = 0; row < rows_of(output); ++row) {
    append_joined(out, values.subspan(row * columns, columns), ' ');
    out += '\n';
  }
}

}  // namespace

void append_output_fields(const Response& response, std::string& out) {
  bool first = true;
  for (const Output& output : response.outputs) {
    if (!first) out += ',';
    first = false;
    append_json_string(out, output.name);
    out += ':';
    if (output.values.empty() && !output.ids.empty()) {
      append_json_value<int32_t>(out, output, output.ids);
    } else {
      append_json_value<float>(out, output, output.values);
    }
  }
}

void append_output_lines(const Response& response, std::string& out) {
  for (const Output& output : response.outputs) {
    if (output.values.empty() && !output.ids.empty()) {
      append_text_value<int32_t>(out, output, output.ids);
    } else {
      append_text_value<float>(out, output, output.values);
    }
  }
}

std::optional<std::string> problem_of(const Response& response) {
  for (const Output& output : response.outputs) {
    size_t expected = 1;
    for (size_t extent : output.shape) expected *= extent;
    const size_t found = output.values.empty() ? output.ids.size() : output.values.size();
    if (output.shape.size() > 2 || found != expected) {
      return fmt::format("the engine's \"{}\" holds {} values where its shape says {}", output.name, found, expected);
    }
    for (size_t i = 0; i < output.values.size(); ++i) {
      if (!std::isfinite(output.values[i])) {
        return fmt::format("value {} of \"{}\" is {}, not a finite number: the model overflowed on this text", i,
                           output.name, output.values[i]);
      }
    }
  }
  return std::nullopt;
}

std::optional<std::string> JsonlWriter::write(uint64_t index, const Response& response) {
  if (auto problem = problem_of(response)) return problem;
  std::string& out = sink_.buffer();
  out += "{\"index\":";
  append_number(out, index);
  out += ',';
  fields_(response, out);
  if (response.truncated) out += ",\"truncated\":true";
  out += "}\n";
  sink_.maybe_flush();
  return std::nullopt;
}

void JsonlWriter::write_error(uint64_t index, std::string_view message) {
  std::string& out = sink_.buffer();
  out += "{\"index\":";
  append_number(out, index);
  out += ",\"error\":";
  append_json_string(out, message);
  out += "}\n";
  sink_.maybe_flush();
}

std::optional<std::string> TextWriter::write(uint64_t index, const Response& response) {
  if (auto problem = problem_of(response)) return problem;
  std::string& out = sink_.buffer();
  if (blocks_ && index > 0) out += '\n';
  lines_(response, out);
  sink_.maybe_flush();
  return std::nullopt;
}

void TextWriter::write_error(uint64_t index, std::string_view) {
  if (!blocks_ || index > 0) sink_.append("\n");
}

}  // namespace wde::cli
