// What a caller submits: one text, one (query, document) pair, or one sequence of token ids.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace wde {

struct TextPair {
  std::string query;
  std::string document;
};

// Ids of the model's own vocabulary, special tokens included; used as they are, never truncated.
struct TokenIds {
  std::vector<int32_t> ids;
};

struct Request {
  std::variant<std::string, TextPair, TokenIds> input;  // texts are UTF-8; NUL bytes are allowed
  // Text put before the input (not allowed for TokenIds). Unset: the engine's --prompt / --prompt-name / the model's
  // default_prompt_name; set to "": no prompt at all.
  std::optional<std::string> prompt;
};

}  // namespace wde
