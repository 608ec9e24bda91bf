// How an embedder compares texts: the prompt of each role, and the function that the model's files name.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

namespace wde::server {

// Of a model's prompts the one for a role that clients name ("query", "document", "classification", …); nullptr: there
// is none.
const std::string* prompt_for_role(const std::map<std::string, std::string>& prompts, std::string_view role);

// `function`: EngineInfo::similarity. The higher, the more alike: distances are negative.
float similarity(std::string_view function, std::span<const float> a, std::span<const float> b);

// A vector of which only the numbers that are not 0 are stored, by ascending ids.
struct SparseView {
  std::span<const int32_t> ids;
  std::span<const float> values;
};
float similarity(std::string_view function, const SparseView& a, const SparseView& b);

}  // namespace wde::server
