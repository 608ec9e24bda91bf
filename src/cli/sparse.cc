#include "cli/result_fields.h"
#include "cli/text_command.h"

namespace wde::cli {

std::unique_ptr<Command> make_sparse_command() {
  TextTask task;
  task.command = "sparse";
  task.task = "sparse";
  task.summary = "Weights of vocabulary entries for every text: SPLADE, or bge-m3's lexical weights.";
  task.examples = R"(  wde sparse --model splade-v3 "a text"
  wde sparse --model bge-m3 --input texts.jsonl | jq -c '.sparse | length')";
  task.formats = {"jsonl"};
  task.make_fields = [](const EngineInfo&, const TextFlags&) -> JsonFields {
    return [](const Response& response, std::string& out) { append_sparse(out, *output_named(response, "sparse")); };
  };
  return std::make_unique<TextCommand>(std::move(task));
}

std::unique_ptr<Command> make_multi_vector_command() {
  TextTask task;
  task.command = "multi-vector";
  task.task = "multi_vector";
  task.summary = "A vector for every token, for late interaction (bge-m3, ColBERT).";
  task.examples = R"(  wde multi-vector --model bge-m3 "a text"
  wde multi-vector --model colbertv2.0 --prompt-name query "a question"   # else a text is a document
  wde multi-vector --model bge-m3 --input texts.jsonl | jq -c '.vectors | length')";
  task.row_per_token = true;
  return std::make_unique<TextCommand>(std::move(task));
}

}  // namespace wde::cli
