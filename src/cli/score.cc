#include "cli/result_fields.h"
#include "cli/text_command.h"

namespace wde::cli {

std::unique_ptr<Command> make_score_command() {
  TextTask task;
  task.command = "score";
  task.task = "score";
  task.summary = "A relevance score for every (query, document) pair, from a reranker.";
  task.examples = R"(  echo '{"query": "what?", "document": "that."}' | wde score --model ms-marco-MiniLM-L6-v2
  wde score --model bge-reranker-v2-m3 --input pairs.jsonl --raw       # logits instead of 0 to 1
  wde score --model Qwen3-Reranker-0.6B --input pairs.jsonl --prompt "Find the law that applies")";
  task.formats = {"jsonl", "text"};
  task.raw_flag = true;
  task.make_fields = [](const EngineInfo&, bool raw) -> JsonFields {
    return [raw](const Response& response, std::string& out) {
      append_field(out, "score", *output_named(response, raw ? "logit" : "score"));
    };
  };
  task.text_lines = [](const Response& response, std::string& out) {
    append_value(out, *output_named(response, "score"));
    out += '\n';
  };
  return std::make_unique<TextCommand>(std::move(task));
}

}  // namespace wde::cli
