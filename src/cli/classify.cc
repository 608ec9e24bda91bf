#include "base/json_text.h"
#include "cli/result_fields.h"
#include "cli/text_command.h"

namespace wde::cli {
namespace {

// {"label": …, "score": …} with every label's score behind it; the best first.
JsonFields class_fields(const EngineInfo& info, const TextFlags& flags) {
  return [labels = info.labels, raw = flags.raw](const Response& response, std::string& out) {
    if (raw) return append_field(out, "logits", *output_named(response, "logits"));
    const std::vector<float>& probs = output_named(response, "probs")->values;
    out += "\"labels\":[";
    bool first = true;
    for (const size_t i : descending(probs)) {
      out += first ? "{\"label\":" : ",{\"label\":";
      first = false;
      append_json_string(out, labels[i]);
      out += ",\"score\":";
      append_number(out, probs[i]);
      out += '}';
    }
    out += ']';
  };
}

}  // namespace

std::unique_ptr<Command> make_classify_command() {
  TextTask task;
  task.command = "classify";
  task.task = "classify";
  task.summary = "The classes of every text or pair with their probabilities, the best first.";
  task.examples = R"(  wde classify --model distilbert-base-uncased-finetuned-sst-2-english "what a film"
  wde classify --model nli-deberta-v3-base --input pairs.jsonl
  wde classify --model twitter-roberta-base-sentiment --input texts.txt --raw   # logits by class number)";
  task.formats = {"jsonl"};
  task.raw_flag = true;
  task.make_fields = class_fields;
  return std::make_unique<TextCommand>(std::move(task));
}

}  // namespace wde::cli
