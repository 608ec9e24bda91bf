// What a caller submits: one text, one (query, document) pair, one sequence of token ids, or one image.
#pragma once

#include <chrono>
#include <cstddef>
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

// A whole JPEG or PNG file, for a model that takes images (EngineInfo::images).
struct Image {
  std::string file;
};

// What becomes of an input that is longer than the maximum length.
enum class Truncation {
  kRight,   // its end is cut off; special tokens and, of a template, the suffix stay
  kLeft,    // its beginning is cut off
  kRefuse,  // kTooLong
  kModel,   // as tokenizer_config.json's truncation_side says, else kRight. The default
};

// Who asks, for a scheduler that shares the workers among its callers (fair).
struct Sharing {
  uint64_t flow = 0;    // a number for every caller; callers get equal shares of the workers ...
  double weight = 1.0;  // ... times this. Above 0; what the flow's latest request says holds for all of it
  int priority = 0;     // as in vLLM: lower is earlier. Within kMinPriority and kMaxPriority
};
constexpr int kMinPriority = -100, kMaxPriority = 100;

struct Request {
  std::variant<std::string, TextPair, TokenIds, Image> input;  // texts are UTF-8; NUL bytes are allowed
  // Text put before the input (not allowed for TokenIds; of no meaning for an Image). Unset: the engine's --prompt /
  // --prompt-name / the model's default_prompt_name; set to "": no prompt at all.
  std::optional<std::string> prompt = {};
  // One of the model's prompts by name, where `prompt` is not set. To late interaction (ColBERT) it also says what the
  // text is: a query if the name is "query", else a document.
  std::optional<std::string> prompt_name = {};
  Truncation truncation = Truncation::kModel;
  size_t max_length = 0;  // tokens, special ones included; 0: the engine's, which is also the most that is allowed
  // Embeddings only. Keep this many values (matryoshka), renormalised if the vector was normalised; 0: all.
  size_t dimensions = 0;
  std::optional<bool> normalize = {};  // unset: as the model's files say
  // Requests that belong together, by a number of the caller's. Late interaction computes a query that stands in many
  // pairs of a group once, and counts its tokens once.
  uint64_t group = 0;
  // kDeadline if no request of its group has begun by then. What has begun is finished.
  std::optional<std::chrono::steady_clock::time_point> deadline = {};
  Sharing sharing = {};
};

}  // namespace wde
