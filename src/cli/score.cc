#include "cli/result_fields.h"
#include "cli/text_command.h"

namespace wde::cli {

std::unique_ptr<Command> make_score_command() {
  TextTask task;
  task.command = "score";
  task.task = "score";
  task.summary = "A relevance score for every (query, document) pair, from a reranker or by vectors of tokens.";
  task.examples = R"(  wde score --model ms-marco-MiniLM-L6-v2 "a question" "a document"       # one pair
  echo '{"query": "what?", "document": "that."}' | wde score --model ms-marco-MiniLM-L6-v2
  wde score --model bge-reranker-v2-m3 --input pairs.jsonl --raw       # logits instead of 0 to 1
  wde score --model Qwen3-Reranker-0.6B --input pairs.jsonl --prompt "Find the law that applies"
  wde score --model colbertv2.0 --input pairs.jsonl                     # MaxSim: the sum over the query's tokens)";
  task.formats = {"jsonl", "text"};
  task.raw_flag = true;
  task.pairs = true;
  task.make_fields = [](const EngineInfo&, const TextFlags& flags) -> JsonFields {
    return [raw = flags.raw](const Response& response, std::string& out) {
      append_field(out, "score", *score_output(response, raw));
    };
  };
  task.text_lines = [](const Response& response, std::string& out) {
    append_value(out, *output_named(response, "score"));
    out += '\n';
  };
  return std::make_unique<TextCommand>(std::move(task));
}

}  // namespace wde::cli
