// text: single texts, pairs and token ids, with sentence-transformers' rule for prompts: explicit prompt, else prompt
// name, else the model's default prompt name, else none. Texts of a late-interaction model are documents unless the
// prompt's name is "query".
#include <fmt/format.h>

#include "input/input_processor.h"

namespace wde {

Registry<InputProcessorFactory>& input_processors() {
  static Registry<InputProcessorFactory> registry("input processor");
  return registry;
}

RequestOptions options_of(const Request& request) {
  return {request.truncation, request.max_length, request.dimensions, request.normalize,
          request.deadline,   request.sharing,    request.group};
}

namespace {

class TextInput final : public InputProcessor {
 public:
  explicit TextInput(const InputConfig& config) : prompts_(config.prompts), sides_(config.sides) {
    if (sides_) {
      // sentence-transformers' encode_document takes the first of these.
      for (const char* name : {"passage", "corpus"}) {
        if (prompts_.contains(name)) prompts_.try_emplace("document", prompts_.at(name));
      }
      prompt_ = prompts_["document"];
      side_ = side_of(config.prompt_name);
    }
    if (config.prompt) {
      prompt_ = *config.prompt;
    } else if (!config.prompt_name.empty()) {
      prompt_ = configured(config.prompt_name);
    } else if (config.default_prompt_name && !sides_) {
      prompt_ = configured(*config.default_prompt_name);
    }
  }

  Result<TokenizeJob> process(Request request) const override {
    if (!request.prompt && request.prompt_name) {
      auto found = named(prompts_, *request.prompt_name);
      if (!found.ok()) return found.error();
      request.prompt = std::move(found).value();
    }
    const std::string& prompt = request.prompt ? *request.prompt : prompt_;
    if (std::holds_alternative<Image>(request.input))
      return Error{ErrorCode::kInvalidInput, "the input is an image, and this model takes only texts for this task"};
    TokenizeJob job;
    job.options = options_of(request);
    job.side = request.prompt_name ? side_of(*request.prompt_name) : side_;
    if (auto* ids = std::get_if<TokenIds>(&request.input)) {
      if (request.prompt && !request.prompt->empty())
        return Error{ErrorCode::kInvalidInput, "a prompt cannot be put before token ids; send the text instead"};
      job.has_ids = true;
      job.ids = std::move(ids->ids);
    } else if (auto* pair = std::get_if<TextPair>(&request.input)) {
      if (sides_) {
        return Error{ErrorCode::kInvalidInput,
                     "the input is a pair, and this model reads its texts one by one; the task 'score' compares them"};
      }
      job.is_pair = true;
      job.text = prompt.empty() ? std::move(pair->query) : prompt + pair->query;
      job.text_pair = std::move(pair->document);
      job.prompt = prompt;
    } else {
      std::string& text = std::get<std::string>(request.input);
      job.text = prompt.empty() ? std::move(text) : prompt + text;
      job.prompt = prompt;
      if (sides_) {
        const SideRules& rules = (*sides_)[static_cast<size_t>(job.side)];
        job.text.insert(0, rules.marker);
        job.prompt.insert(0, rules.marker);
        job.frame = rules.frame;
        job.frame->marker_bytes = rules.marker.size();
      }
    }
    return job;
  }

 private:
  static Result<std::string> named(const std::map<std::string, std::string>& prompts, const std::string& name) {
    auto it = prompts.find(name);
    if (it != prompts.end()) return it->second;
    // sentence-transformers >= 5 knows these two in every model, empty unless the model says otherwise.
    if (name == "query" || name == "document") return std::string();
    std::vector<std::string> known;
    for (const auto& [key, value] : prompts) known.push_back(key);
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("the model has no prompt named '{}'; it has: {}", name, join_names(known))};
  }

  static Side side_of(std::string_view name) { return name == "query" ? Side::kQuery : Side::kDocument; }

  std::string configured(const std::string& name) const {
    auto found = named(prompts_, name);
    if (!found.ok()) throw UsageError(found.error().message);
    return std::move(found).value();
  }

  std::map<std::string, std::string> prompts_;
  std::string prompt_;
  std::optional<std::array<SideRules, 2>> sides_;
  Side side_ = Side::kDocument;
};

WDE_REGISTER(input_processors().add("text",
                                    [](const InputConfig& config) { return std::make_unique<TextInput>(config); }));

}  // namespace
}  // namespace wde
