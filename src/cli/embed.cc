#include "cli/text_command.h"

namespace wde::cli {

std::unique_ptr<Command> make_embed_command() {
  TextTask task;
  task.command = "embed";
  task.task = "embed";
  task.summary = "One vector for every text or image, pooled and normalised as the model says.";
  task.examples = R"(  wde embed --model all-MiniLM-L6-v2 "a text" "another text"
  wde embed --model all-MiniLM-L6-v2 --input texts.jsonl --output vectors.npy --format npy
  wde embed --model e5-base-v2 --prompt "query: " "how high is mount everest"
  cut -f 2 pages.tsv | wde embed --model all-MiniLM-L6-v2 --input-format text | jq -c .embedding
  wde embed --model BAAI/bge-m3 --all --input texts.jsonl    # dense, sparse and a vector a token, from one pass
  wde embed --model openai/clip-vit-base-patch32 "a cat" --image cat.jpg dog.png)";
  task.embedding_flags = true;
  task.images = true;
  return std::make_unique<TextCommand>(std::move(task));
}

}  // namespace wde::cli
