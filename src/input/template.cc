// template: pairs for rerankers that are language models, put into the words that they were trained with.
// Cross-encoders and unknown ones get plain pairs.
#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

#include "input/input_processor.h"
#include "loader/json_file.h"

namespace wde {
namespace {

constexpr size_t kMaxTemplateBytes = size_t{1} << 20;

// {query} and {document} stand for the pair, {instruction} for the prompt or its default. `cut` is the piece that is
// shortened if all are too long.
struct PairTemplate {
  std::string_view name;
  std::string_view instruction;
  std::array<std::string_view, 6> pieces;
  size_t cut;
  std::string_view phrase;  // of the words that the model was trained with: a chat template with it is this one
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
        1,
        "Judge whether the Document meets the requirements"},
    PairTemplate{"gemma",
                 "Given a query A and a passage B, determine whether the passage contains an answer to the query by "
                 "providing a prediction of either 'Yes' or 'No'.",
                 {"<bos>", "A: {query}", "\n", "B: {document}", "\n", "{instruction}"},
                 3,
                 "determine whether the passage contains an answer to the query"},
};

TemplatePiece filled(std::string_view piece, const std::string& instruction, const TextPair& pair) {
  TemplatePiece made;
  std::string& out = made.text;
  const auto add = [&](const std::string& text, ByteRange& range) {
    range = {out.size(), out.size() + text.size()};
    out += text;
  };
  for (size_t at = 0; at < piece.size();) {
    const auto starts = [&](std::string_view name) { return piece.substr(at).starts_with(name); };
    if (starts("{instruction}")) {
      out += instruction;
      at += 13;
    } else if (starts("{query}")) {
      add(pair.query, made.query);
      at += 7;
    } else if (starts("{document}")) {
      add(pair.document, made.document);
      at += 10;
    } else {
      out += piece[at++];
    }
  }
  return made;
}

// By which sentence-transformers puts pairs into words where a LogitScore module reads the score; "": by none.
std::string chat_template(const std::string& directory, std::string& file) {
  const auto transformer = ConfigView::read_if_exists(join_path(directory, "sentence_bert_config.json"));
  const auto modalities = transformer ? transformer->object_if_exists("modality_config") : std::nullopt;
  if (modalities && !modalities->has("message")) return "";
  file = join_path(directory, "chat_template.jinja");
  if (file_exists(file)) return read_regular_file(file, kMaxTemplateBytes);
  file = join_path(directory, "tokenizer_config.json");
  const auto tokenizer = ConfigView::read_if_exists(file);
  constexpr const char* kKey = "chat_template";
  if (!tokenizer || !tokenizer->has(kKey)) return "";
  const nlohmann::json& value = tokenizer->json().at(kKey);
  return value.is_string() ? value.get<std::string>() : value.dump();  // a list of named ones
}

class TemplateInput final : public InputProcessor {
 public:
  explicit TemplateInput(const InputConfig& config) : plain_(input_processors().get("text")(config)) {
    std::string name = config.template_name;
    if (name == "auto") {
      name = "none";
      if (config.scores_by_tokens && config.architecture.starts_with("Qwen3")) name = "qwen3";
      if (config.scores_by_tokens && config.architecture.starts_with("Gemma")) name = "gemma";
      if (config.score_module) require_known_template(config.directory, name);
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
      job.pieces.push_back(filled(template_->pieces[i], instruction, *pair));
      job.pieces.back().may_be_cut = i == template_->cut;
    }
    return job;
  }

 private:
  // The words of a chat template of the model's own are not guessed.
  static void require_known_template(const std::string& directory, std::string_view name) {
    std::string file;
    const std::string text = chat_template(directory, file);
    if (text.empty()) return;
    for (const PairTemplate& known : kTemplates) {
      if (known.name == name && text.find(known.phrase) != std::string::npos) return;
    }
    throw LoadError(
        fmt::format("{}: the model puts pairs into a chat template of its own, which is not supported: "
                    "expected the words of Qwen3-Reranker or of bge-reranker-v2-gemma; --template says "
                    "which words to take instead",
                    file));
  }

  std::unique_ptr<InputProcessor> plain_;
  const PairTemplate* template_ = nullptr;
  std::string instruction_;
};

WDE_REGISTER(input_processors().add("template",
                                    [](const InputConfig& config) { return std::make_unique<TemplateInput>(config); }));

}  // namespace
}  // namespace wde
