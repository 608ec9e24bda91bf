#include "server/dialects/comparison.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace wde::server {
namespace {

struct Role {
  std::string_view name;
  std::vector<std::string_view> prompts;  // what models call it, the most likely first
};

const std::vector<Role>& roles() {
  static const std::vector<Role> all = {
      {"query", {"query", "search_query", "retrieval.query", "retrieval-query", "web_search_query", "s2p_query"}},
      {"document", {"document", "passage", "search_document", "retrieval.passage", "retrieval-passage", "corpus"}},
      {"classification", {"classification"}},
      {"clustering", {"clustering", "separation"}},
      {"similarity", {"text-matching", "similarity", "sts", "STS"}},
  };
  return all;
}

}  // namespace

const std::string* prompt_for_role(const std::map<std::string, std::string>& prompts, std::string_view role) {
  for (const Role& known : roles()) {
    if (known.name != role) continue;
    for (std::string_view prompt : known.prompts) {
      const auto found = prompts.find(std::string(prompt));
      if (found != prompts.end()) return &found->second;
    }
  }
  const auto found = prompts.find(std::string(role));
  return found != prompts.end() ? &found->second : nullptr;
}

float similarity(std::string_view function, std::span<const float> a, std::span<const float> b) {
  double dot = 0, aa = 0, bb = 0, squares = 0, absolutes = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    const double x = a[i], y = b[i];
    dot += x * y;
    aa += x * x;
    bb += y * y;
    squares += (x - y) * (x - y);
    absolutes += std::abs(x - y);
  }
  if (function == "dot") return static_cast<float>(dot);
  if (function == "euclidean") return static_cast<float>(-std::sqrt(squares));
  if (function == "manhattan") return static_cast<float>(-absolutes);
  return aa > 0 && bb > 0 ? static_cast<float>(dot / std::sqrt(aa * bb)) : 0.0f;
}

}  // namespace wde::server
