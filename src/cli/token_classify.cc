#include "base/json_text.h"
#include "cli/result_fields.h"
#include "cli/text_command.h"
#include "wde/entities.h"

namespace wde::cli {
namespace {

// The pipeline's names; start and end are characters, as there.
void append_entity(std::string& out, const Entity& entity, bool token) {
  out += token ? "{\"entity\":" : "{\"entity_group\":";
  append_json_string(out, entity.label);
  out += ",\"score\":";
  append_number(out, entity.score);
  if (token) {
    out += ",\"index\":";
    append_number(out, entity.token);
  }
  out += ",\"word\":";
  append_json_string(out, entity.text);
  out += ",\"start\":";
  append_number(out, entity.first_char);
  out += ",\"end\":";
  append_number(out, entity.past_chars);
  out += '}';
}

JsonFields entity_fields(const EngineInfo& info, const TextFlags& flags) {
  const EntityAggregation aggregation = *entity_aggregation(flags.aggregation);
  return [labels = info.labels, raw = flags.raw, aggregation](const Response& response, std::string& out) {
    if (raw) return append_field(out, "logits", *output_named(response, "logits"));
    out += "\"entities\":[";
    bool first = true;
    for (const Entity& entity : find_entities(response, labels, aggregation)) {
      if (!first) out += ',';
      first = false;
      append_entity(out, entity, aggregation == EntityAggregation::kNone);
    }
    out += ']';
  };
}

}  // namespace

std::unique_ptr<Command> make_token_classify_command() {
  TextTask task;
  task.command = "token-classify";
  task.task = "token_classify";
  task.summary = "Named entities (or other classes of tokens) with their place in the text, in characters.";
  task.examples = R"(  wde token-classify --model bert-base-NER "Ada Lovelace lived in London."
  wde token-classify --model bert-base-NER --aggregation average --input texts.jsonl
  wde token-classify --model bert-base-NER --input texts.jsonl --raw | jq -c '.logits | length')";
  task.formats = {"jsonl"};
  task.raw_flag = true;
  task.aggregation_flag = true;
  task.make_fields = entity_fields;
  return std::make_unique<TextCommand>(std::move(task));
}

}  // namespace wde::cli
