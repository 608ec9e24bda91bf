#include "cli/result_fields.h"

#include <algorithm>
#include <numeric>
#include <stdexcept>

#include "base/json_text.h"
#include "cli/row_writer.h"

namespace wde::cli {

const Output* output_named(const Response& response, std::string_view name) {
  for (const Output& output : response.outputs) {
    if (output.name == name) return &output;
  }
  throw std::logic_error("the engine gave no output \"" + std::string(name) + "\"");
}

const Output* score_output(const Response& response, bool raw) {
  const bool has_logit = std::any_of(response.outputs.begin(), response.outputs.end(),
                                     [](const Output& output) { return output.name == "logit"; });
  return output_named(response, raw && has_logit ? "logit" : "score");
}

void append_value(std::string& out, const Output& output) {
  if (output.shape.empty()) return append_number(out, output.values.at(0));
  const size_t columns = output.shape.back();
  if (output.shape.size() == 2) out += '[';
  for (size_t i = 0; i < output.values.size(); ++i) {
    if (i % columns == 0) out += i == 0 ? "[" : "],[";
    if (i % columns != 0) out += ',';
    append_number(out, output.values[i]);
  }
  out += output.values.empty() ? "[]" : "]";
  if (output.shape.size() == 2) out += ']';
}

void append_field(std::string& out, std::string_view name, const Output& output) {
  append_json_string(out, name);
  out += ':';
  append_value(out, output);
}

void append_sparse(std::string& out, const Output& output) {
  out += "\"sparse\":{";
  for (size_t i = 0; i < output.ids.size(); ++i) {
    out += i == 0 ? "\"" : ",\"";
    append_number(out, output.ids[i]);
    out += "\":";
    append_number(out, output.values[i]);
  }
  out += '}';
}

void append_kinds(const Response& response, std::string& out) {
  for (const Output& output : response.outputs) {
    if (&output != &response.outputs.front()) out += ',';
    if (output.name == "sparse") {
      append_sparse(out, output);
    } else {
      append_field(out, output.name, output);
    }
  }
}

std::vector<size_t> descending(const std::vector<float>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] > values[b]; });
  return order;
}

}  // namespace wde::cli
