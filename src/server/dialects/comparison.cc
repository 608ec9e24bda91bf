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

// What all similarities of two vectors are made of.
struct Sums {
  double dot = 0, aa = 0, bb = 0, squares = 0, absolutes = 0;

  void add(double x, double y) {
    dot += x * y;
    aa += x * x;
    bb += y * y;
    squares += (x - y) * (x - y);
    absolutes += std::abs(x - y);
  }
  float similarity(std::string_view function) const {
    if (function == "dot") return static_cast<float>(dot);
    if (function == "euclidean") return static_cast<float>(-std::sqrt(squares));
    if (function == "manhattan") return static_cast<float>(-absolutes);
    return aa > 0 && bb > 0 ? static_cast<float>(dot / std::sqrt(aa * bb)) : 0.0f;
  }
};

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
  Sums sums;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) sums.add(a[i], b[i]);
  return sums.similarity(function);
}

float similarity(std::string_view function, const SparseView& a, const SparseView& b) {
  const size_t a_size = std::min(a.ids.size(), a.values.size()), b_size = std::min(b.ids.size(), b.values.size());
  Sums sums;
  size_t i = 0, k = 0;
  while (i < a_size || k < b_size) {
    if (k == b_size || (i < a_size && a.ids[i] < b.ids[k])) {
      sums.add(a.values[i++], 0);
    } else if (i == a_size || b.ids[k] < a.ids[i]) {
      sums.add(0, b.values[k++]);
    } else {
      sums.add(a.values[i++], b.values[k++]);
    }
  }
  return sums.similarity(function);
}

}  // namespace wde::server
