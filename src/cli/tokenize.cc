#include <algorithm>
#include <string_view>

#include "base/json_text.h"
#include "cli/text_command.h"

namespace wde::cli {
namespace {

template <class Items, class Append>
void append_list(std::string& out, std::string_view name, const Items& items, Append append) {
  out += ",\"";
  out += name;
  out += "\":[";
  bool first = true;
  for (const auto& item : items) {
    if (!first) out += ',';
    first = false;
    append(item);
  }
  out += ']';
}

void append_json_fields(const Response& response, std::string& out) {
  const TokenDetails& details = response.details;
  append_output_fields(response, out);  // "ids"
  append_list(out, "tokens", details.tokens, [&](const std::string& token) { append_json_string(out, token); });
  append_list(out, "type_ids", details.type_ids, [&](int32_t id) { append_number(out, id); });
  append_list(out, "offsets", details.offsets, [&](const Offset& offset) {
    out += '[';
    append_number(out, offset.begin);
    out += ',';
    append_number(out, offset.end);
    out += ']';
  });
  append_list(out, "special_tokens_mask", details.special_tokens_mask,
              [&](int special) { append_number(out, special); });
  if (!response.truncated) out += ",\"truncated\":false";  // else every row says so
}

// A token may hold a line's end (Gemma has them); a line of output must not.
void append_text_lines(const Response& response, std::string& out) {
  bool first = true;
  for (const std::string& token : response.details.tokens) {
    if (!first) out += ' ';
    first = false;
    for (char c : token) {
      if (c == '\n') {
        out += "\\n";
      } else if (c == '\r') {
        out += "\\r";
      } else {
        out += c;
      }
    }
  }
  out += '\n';
}

}  // namespace

std::unique_ptr<Command> make_tokenize_command() {
  TextTask task;
  task.command = "tokenize";
  task.task = "tokenize";
  task.summary = "The tokens of every text or pair: ids, spelling, offsets in bytes.";
  task.examples = R"(  wde tokenize --model bert-base-uncased "a text" --format text
  wde tokenize --model bert-base-uncased --input texts.jsonl | jq '.ids | length'     # tokens of each text
  echo '{"query": "what?", "document": "that."}' | wde tokenize --model ms-marco-MiniLM-L6-v2)";
  task.formats = {"jsonl", "text"};
  task.json_fields = append_json_fields;
  task.text_lines = append_text_lines;
  task.result_bytes_per_text_byte = 24;  // a token of a few letters has a string, three numbers and its offsets
  return std::make_unique<TextCommand>(std::move(task));
}

}  // namespace wde::cli
