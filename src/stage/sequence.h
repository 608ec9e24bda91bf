// The plain structs that one stage hands to the next, up to the scheduler.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "stage/image.h"
#include "wde/engine.h"

namespace wde {

using Clock = std::chrono::steady_clock;

// What a request asks for besides its text.
struct RequestOptions {
  Truncation truncation = Truncation::kRight;
  size_t max_length = 0;  // 0: the engine's
  size_t dimensions = 0;  // 0: all
  std::optional<bool> normalize;
  std::optional<Clock::time_point> deadline;
  Sharing sharing;
  uint64_t group = 0;  // Request::group, or a number of its own
};

// Which of the two a text is, for models that treat them differently.
enum class Side { kDocument, kQuery };

// What late interaction makes of a text's tokens, within the maximum length.
struct TokenFrame {
  size_t max_length = 0;          // of all; 0: the model's
  std::optional<int32_t> marker;  // put behind the first token
  size_t marker_bytes = 0;        // instead, the text begins with it: as special as a token that is put in
  size_t fill_to = 0;             // filled up to so many tokens ...
  int32_t fill_id = 0;            // ... with this one
  bool fill_is_seen = true;       // the others attend to them
};

// Bytes [begin, end) of a text; none where both are 0.
struct ByteRange {
  size_t begin = 0, end = 0;
};

struct TemplatePiece {
  std::string text;
  bool may_be_cut = false;    // at most one: what is too long is cut there
  ByteRange query, document;  // where they stand in `text`
};

// InputProcessor -> Tokenizer: what is to be tokenized. Either texts or ready ids.
struct TokenizeJob {
  std::string text;       // prompt already put before it
  std::string text_pair;  // second part of a pair
  bool is_pair = false;
  // A template instead of `text`: its pieces are tokenized by themselves, without special tokens added, and put one
  // behind the other.
  std::vector<TemplatePiece> pieces;
  bool has_ids = false;  // `ids` are given and used as they are
  std::vector<int32_t> ids;
  std::shared_ptr<const Pixels> image;  // instead of a text; there are as many `ids` as it has tokens
  std::string prompt;                   // what was put before `text`
  size_t prompt_tokens =
      0;  // leading tokens that belong to it (special ones before it included); counted only for outputs that ask
  // Instead: so many tokens at the end are the text's own (LLM2Vec counts from there).
  std::optional<size_t> text_tokens;
  Side side = Side::kDocument;
  std::optional<TokenFrame> frame;  // of a single text
  RequestOptions options;
};

// Tokenizer -> Scheduler: one tokenized request.
struct Sequence {
  RequestId id = 0;
  std::vector<int32_t> ids;
  std::vector<int32_t> type_ids;             // same length as ids
  std::vector<uint8_t> special_tokens_mask;  // same length; 1: added by the post-processor
  std::vector<Offset> offsets;               // same length; only if the tokenizer was asked for them
  std::string text;                          // that the offsets point into; of a pair and of pieces: empty
  std::shared_ptr<const Pixels> image;       // then the ids mean nothing, but for their number
  std::optional<size_t> last_row;            // what RowsNeeded::kLast means, where it is not the last one
  size_t prompt_tokens = 0;
  size_t unseen = 0;  // so many tokens at the end are attended to by none
  Side side = Side::kDocument;
  bool truncated = false;
  RequestOptions options;
  Clock::time_point arrival;
  size_t group_left = 0;  // tokens of its group that were not tokenized yet, estimated
  size_t size() const { return ids.size(); }
};

}  // namespace wde
