// Long documents are ranked by their best piece: Cohere's max_chunks_per_doc and max_tokens_per_doc. Without either a
// document that is too long is cut.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/dialects/plan.h"

namespace wde::server {

struct PieceRule {
  size_t tokens = 0;  // of a document, what is behind them is not read; 0: all
  size_t pieces = 0;  // of a document, likewise
  bool asked() const { return tokens > 0 || pieces > 0; }
};
PieceRule read_piece_rule(const Fields& fields);

struct RankedTexts {
  std::shared_ptr<const ModelFacts> model;
  PromptChoice instruction;
  Cut cut;
  std::string query;
  std::vector<std::string> documents;
  std::string name;  // of their field
};

// One score a document; `raw` as scores_of().
using PieceScores = std::function<std::vector<float>(bool raw)>;

// Three plans, one after the other: how much room the query leaves, how many tokens the documents have, and the scores
// of their pieces.
Plan plan_in_pieces(RankedTexts texts, PieceRule rule, std::function<void(PieceScores, Answer&, HttpResponse&)> write);

// The ends of a text's tokens in its bytes.
struct TokenSpan {
  size_t begin = 0, end = 0;
};
// A text's pieces of at most `room` tokens, which end between words where there is a blank in their second half. A text
// that fits is one piece, as it is.
std::vector<std::string> pieces_of(const std::string& text, const std::vector<TokenSpan>& tokens, size_t room,
                                   const PieceRule& rule);

}  // namespace wde::server
