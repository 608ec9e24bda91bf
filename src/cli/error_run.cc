#include "cli/error_run.h"

#include <cctype>

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

uint64_t ErrorRun::add(std::string_view problem) {
  std::string kind = kind_of(problem);
  if (kind != kind_) count_ = 0;
  kind_ = std::move(kind);
  return ++count_;
}

}  // namespace wde::cli
