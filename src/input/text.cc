// text: single texts, pairs and token ids, with sentence-transformers' rule for prompts: explicit prompt, else prompt
// name, else the model's default prompt name, else none.
#include <fmt/format.h>

#include "input/input_processor.h"

namespace wde {

Registry<InputProcessorFactory>& input_processors() {
  static Registry<InputProcessorFactory> registry("input processor");
  return registry;
}

namespace {

class TextInput final : public InputProcessor {
 public:
  explicit TextInput(const InputConfig& config) {
    if (config.prompt) {
      prompt_ = *config.prompt;
    } else if (!config.prompt_name.empty()) {
      prompt_ = named(config, config.prompt_name);
    } else if (config.default_prompt_name) {
      prompt_ = named(config, *config.default_prompt_name);
    }
  }

  Result<TokenizeJob> process(Request request) const override {
    const std::string& prompt = request.prompt ? *request.prompt : prompt_;
    TokenizeJob job;
    if (auto* ids = std::get_if<TokenIds>(&request.input)) {
      if (request.prompt && !request.prompt->empty())
        return Error{ErrorCode::kInvalidInput, "a prompt cannot be put before token ids; send the text instead"};
      job.has_ids = true;
      job.ids = std::move(ids->ids);
    } else if (auto* pair = std::get_if<TextPair>(&request.input)) {
      job.is_pair = true;
      job.text = prompt.empty() ? std::move(pair->query) : prompt + pair->query;
      job.text_pair = std::move(pair->document);
      job.prompt = prompt;
    } else {
      std::string& text = std::get<std::string>(request.input);
      job.text = prompt.empty() ? std::move(text) : prompt + text;
      job.prompt = prompt;
    }
    return job;
  }

 private:
  static std::string named(const InputConfig& config, const std::string& name) {
    auto it = config.prompts.find(name);
    if (it != config.prompts.end()) return it->second;
    // sentence-transformers >= 5 knows these two in every model, empty unless the model says otherwise.
    if (name == "query" || name == "document") return "";
    std::vector<std::string> known;
    for (const auto& [key, value] : config.prompts) known.push_back(key);
    throw UsageError(fmt::format("the model has no prompt named '{}'; it has: {}", name, join_names(known)));
  }

  std::string prompt_;
};

WDE_REGISTER(input_processors().add("text",
                                    [](const InputConfig& config) { return std::make_unique<TextInput>(config); }));

}  // namespace
}  // namespace wde
