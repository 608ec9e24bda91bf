// template: pairs for rerankers that are language models, put into the words that they were trained with.
// Cross-encoders and unknown ones get plain pairs.
#include <fmt/format.h>

#include <array>

#include "input/input_processor.h"

namespace wde {
namespace {

// {query} and {document} stand for the pair, {instruction} for the prompt or its default. `cut` is the piece that is
// shortened if all are too long.
struct PairTemplate {
  std::string_view name;
  std::string_view instruction;
  std::array<std::string_view, 6> pieces;
  size_t cut;
};

// Qwen3-Reranker's and bge-reranker-v2-gemma's model cards.
constexpr std::array<PairTemplate, 2> kTemplates = {
    PairTemplate{
        "qwen3",
        "Given a web search query, retrieve relevant passages that answer the query",
        {"<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
         "provided. Note that the answer can only be \"yes\" or \"no\".<|im_end|>\n<|im_start|>user\n",
         "<Instruct>: {instruction}\n<Query>: {query}\n<Document>: {document}",
         "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"},
        1},
    PairTemplate{"gemma",
                 "Given a query A and a passage B, determine whether the passage contains an answer to the query by "
                 "providing a prediction of either 'Yes' or 'No'.",
                 {"<bos>", "A: {query}", "\n", "B: {document}", "\n", "{instruction}"},
                 3},
};

std::string filled(std::string_view piece, const std::string& instruction, const TextPair& pair) {
  std::string out;
  for (size_t at = 0; at < piece.size();) {
    const auto starts = [&](std::string_view name) { return piece.substr(at).starts_with(name); };
    if (starts("{instruction}")) {
      out += instruction;
      at += 13;
    } else if (starts("{query}")) {
      out += pair.query;
      at += 7;
    } else if (starts("{document}")) {
      out += pair.document;
      at += 10;
    } else {
      out += piece[at++];
    }
  }
  return out;
}

class TemplateInput final : public InputProcessor {
 public:
  explicit TemplateInput(const InputConfig& config) : plain_(input_processors().get("text")(config)) {
    std::string name = config.template_name;
    if (name == "auto") {
      name = "none";
      if (config.scores_by_tokens && config.architecture.starts_with("Qwen3")) name = "qwen3";
      if (config.scores_by_tokens && config.architecture.starts_with("Gemma")) name = "gemma";
    }
    if (name == "none") return;
    for (const PairTemplate& known : kTemplates) {
      if (known.name == name) template_ = &known;
    }
    if (template_ == nullptr)
      throw UsageError(fmt::format("unknown template '{}'; known: auto, none, qwen3, gemma", name));
    instruction_ = config.prompt.value_or(std::string(template_->instruction));
  }

  Result<TokenizeJob> process(Request request) const override {
    const auto* pair = std::get_if<TextPair>(&request.input);
    if (template_ == nullptr) return plain_->process(std::move(request));
    if (std::holds_alternative<TokenIds>(request.input) || std::holds_alternative<Image>(request.input))
      return plain_->process(std::move(request));
    if (pair == nullptr) {
      return Error{ErrorCode::kInvalidInput,
                   "this model scores pairs: expected {\"query\": ..., \"document\": ...}, found a single text"};
    }
    const std::string& instruction = request.prompt ? *request.prompt : instruction_;
    TokenizeJob job;
    job.options = options_of(request);
    for (size_t i = 0; i < template_->pieces.size() && !template_->pieces[i].empty(); ++i) {
      job.pieces.push_back({filled(template_->pieces[i], instruction, *pair), i == template_->cut});
    }
    return job;
  }

 private:
  std::unique_ptr<InputProcessor> plain_;
  const PairTemplate* template_ = nullptr;
  std::string instruction_;
};

WDE_REGISTER(input_processors().add("template",
                                    [](const InputConfig& config) { return std::make_unique<TemplateInput>(config); }));

}  // namespace
}  // namespace wde
