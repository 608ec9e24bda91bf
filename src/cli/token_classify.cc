#include "cli/json_text.h"
#include "cli/result_fields.h"
#include "cli/text_command.h"
#include "wde/entities.h"

namespace wde::cli {
namespace {

JsonFields entity_fields(const EngineInfo& info, bool raw) {
  return [labels = info.labels, raw](const Response& response, std::string& out) {
    if (raw) return append_field(out, "logits", *output_named(response, "logits"));
    out += "\"entities\":[";
    bool first = true;
    for (const Entity& entity : find_entities(response, labels, EntityAggregation::kSimple)) {
      out += first ? "{\"entity_group\":" : ",{\"entity_group\":";
      first = false;
      append_json_string(out, entity.label);
      out += ",\"score\":";
      append_number(out, entity.score);
      out += ",\"begin\":";
      append_number(out, entity.begin);
      out += ",\"end\":";
      append_number(out, entity.end);
      out += '}';
    }
    out += ']';
  };
}

}  // namespace

std::unique_ptr<Command> make_token_classify_command() {
  TextTask task;
  task.command = "token-classify";
  task.task = "token_classify";
  task.summary = "Named entities (or other classes of tokens) with their place in the text, in bytes.";
  task.examples = R"(  wde token-classify --model bert-base-NER "Ada Lovelace lived in London."
  wde token-classify --model bert-base-NER --input texts.jsonl --raw | jq -c '.logits | length')";
  task.formats = {"jsonl"};
  task.raw_flag = true;
  task.make_fields = entity_fields;
  return std::make_unique<TextCommand>(std::move(task));
}

}  // namespace wde::cli
