#include "cli/text_command.h"

namespace wde::cli {

std::unique_ptr<Command> make_hidden_command() {
  TextTask task;
  task.command = "hidden";
  task.task = "token_embed";
  task.summary = "The last layer's vector of every token, special tokens included.";
  task.examples = R"(  wde hidden --model bert-base-uncased "a text"
  wde hidden --model bert-base-uncased "a text" --format npy --output tokens.npy      # [tokens, hidden size]
  wde hidden --model bert-base-uncased --input texts.jsonl | jq -c '.hidden | length')";
  task.row_per_token = true;
  return std::make_unique<TextCommand>(std::move(task));
}

}  // namespace wde::cli
