// InputProcessor seam: Request -> what is to be tokenized. Light: validates, puts the prompt before the text.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/registry.h"
#include "loader/config.h"
#include "stage/sequence.h"
#include "wde/request.h"
#include "wde/result.h"

namespace wde {

// What becomes of the queries, or of the documents, of a late-interaction model.
struct SideRules {
  std::string marker;  // text before the prompt, where it is no token of the frame
  TokenFrame frame;
};

struct InputConfig {
  std::map<std::string, std::string> prompts;      // the model's, by name
  std::optional<std::string> default_prompt_name;  // the model's
  std::string prompt_name;                         // --prompt-name; "" : none
  std::optional<std::string> prompt;               // --prompt
  std::string template_name;                       // --template; "auto": the model's
  std::string architecture;                        // config.json's, for the template that goes with it
  std::string directory;                           // of the tokenizer's and the image processor's files
  const ConfigView* config = nullptr;              // config.json
  std::string image_resize;                        // --image-resize
  bool scores_by_tokens = false;                   // the score is read from a language model's logits
  bool score_module = false;                       // ... as a LogitScore module of the files says
  std::optional<std::array<SideRules, 2>> sides;   // by Side; of late interaction alone
};

// What the request says besides its input.
RequestOptions options_of(const Request& request);

class InputProcessor {
 public:
  virtual ~InputProcessor() = default;
  virtual Result<TokenizeJob> process(Request request) const = 0;
  virtual bool takes_images() const { return false; }
};

// Throws UsageError for a prompt name that the model does not have.
using InputProcessorFactory = std::function<std::unique_ptr<InputProcessor>(const InputConfig&)>;
Registry<InputProcessorFactory>& input_processors();

}  // namespace wde
