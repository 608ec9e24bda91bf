#include "cli/json_array.h"

#include <fmt/format.h>

namespace wde::cli {
namespace {

bool is_space(int c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::string_view skip_space(std::string_view text) {
  const size_t at = text.find_first_not_of(" \t\r\n");
  return at == std::string_view::npos ? "" : text.substr(at);
}

}  // namespace

bool begins_json_array(std::string_view head, bool sure) {
  if (head.starts_with("\xEF\xBB\xBF")) head.remove_prefix(3);
  head = skip_space(head);
  if (!head.starts_with('[')) return false;
  const std::string_view first = skip_space(head.substr(1));
  return sure || first.starts_with('"') || first.starts_with('{');
}

void JsonArrayReader::fail(const char* expected, int found) const {
  throw InputError(fmt::format("{}, line {}: expected {}, found {}", bytes_.name(), bytes_.line_number() + 1, expected,
                               found < 0 ? std::string("the end") : fmt::format("'{}'", static_cast<char>(found))));
}

int JsonArrayReader::next_visible() {
  int c = bytes_.get();
  while (is_space(c)) c = bytes_.get();
  return c;
}

LineReader::Status JsonArrayReader::next(std::string& element, uint64_t& line) {
  element.clear();
  if (ended_) return LineReader::Status::kEnd;
  int c = next_visible();
  if (!begun_) {
    while (c == 0xEF || c == 0xBB || c == 0xBF) c = next_visible();  // a byte order mark
    if (c != '[') fail("a JSON array, '['", c);
    begun_ = true;
    c = next_visible();
    ended_ = c == ']';
  }
  if (ended_) {
    if (c = next_visible(); c >= 0) fail("nothing behind the array", c);
    return LineReader::Status::kEnd;
  }
  line = bytes_.line_number() + 1;
  bool too_long = false, in_string = false;
  for (size_t depth = 0;; c = bytes_.get()) {
    if (c < 0) fail("the array's ']'", c);
    if (!in_string && depth == 0 && (c == ',' || c == ']')) break;
    if (element.size() == kMaxLineBytes) {
      too_long = true;
      element.resize(256);
    }
    if (!too_long) element += static_cast<char>(c);
    if (in_string && c == '\\') {
      const int escaped = bytes_.get();
      if (escaped < 0) fail("the array's ']'", escaped);
      if (!too_long) element += static_cast<char>(escaped);
    } else if (c == '"') {
      in_string = !in_string;
    } else if (!in_string && (c == '{' || c == '[')) {
      ++depth;
    } else if (!in_string && (c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
  if (c == ']') {
    ended_ = true;
    if (const int behind = next_visible(); behind >= 0) fail("nothing behind the array", behind);
  }
  return too_long ? LineReader::Status::kTooLong : LineReader::Status::kLine;
}

}  // namespace wde::cli
