#include "cli/error_tally.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "cli/progress.h"

namespace wde::cli {
namespace {

std::string kind_of(std::string_view problem) {
  std::string kind;
  bool quoted = false;
  size_t depth = 0;  // of parentheses, which hold details
  for (const char c : problem) {
    if (c == '"' || c == '\'') quoted = !quoted;
    if (!quoted && c == '(') ++depth;
    if (!quoted && depth == 0 && std::isdigit(static_cast<unsigned char>(c)) == 0) kind += c;
    if (!quoted && c == ')' && depth > 0) --depth;
  }
  return kind;
}

}  // namespace

bool ErrorTally::add(std::string_view problem, std::string_view where) {
  std::string name = kind_of(problem);
  if (name != last_) in_a_row_ = 0;
  ++in_a_row_;
  auto kind = std::find_if(kinds_.begin(), kinds_.end(), [&](const Kind& one) { return one.name == name; });
  if (kind == kinds_.end() && kinds_.size() > kMaxKinds) kind = kinds_.end() - 1;
  if (kind == kinds_.end()) {
    kinds_.push_back({kinds_.size() < kMaxKinds ? name : "", std::string(where)});
    kind = kinds_.end() - 1;
  }
  last_ = std::move(name);
  return ++kind->count <= kShown;
}

std::vector<std::string> ErrorTally::not_shown() const {
  std::vector<std::string> sentences;
  for (const Kind& kind : kinds_) {
    if (kind.count <= kShown) continue;
    const std::string more = format_count(kind.count - kShown);
    sentences.push_back(kind.name.empty() ? fmt::format("... and {} more, in other ways", more)
                                          : fmt::format("... and {} more like {}", more, kind.where));
  }
  return sentences;
}

}  // namespace wde::cli
