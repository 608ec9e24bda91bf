// Outputs of a response as JSON fields, for commands whose rows are not simply every output by its name.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "wde/response.h"

namespace wde::cli {

// Precondition: the workflow gives it.
const Output* output_named(const Response& response, std::string_view name);
// Of a pair; `raw`: before the model's activation, which a score by vectors does not have.
const Output* score_output(const Response& response, bool raw);

void append_value(std::string& out, const Output& output);                         // as JSON
void append_field(std::string& out, std::string_view name, const Output& output);  // "name":value
void append_sparse(std::string& out, const Output& output);                        // "sparse":{"17":0.5,…}
void append_kinds(const Response& response, std::string& out);  // every output by its name, also sparse

// Indices of the values, the greatest first; of equal ones the lower index first.
std::vector<size_t> descending(const std::vector<float>& values);

}  // namespace wde::cli
