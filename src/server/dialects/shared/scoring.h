// Scores of pairs, for every dialect that reranks: with a cross-encoder each document is read together with the query;
// with an embedding model their vectors are compared.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "server/dialects/plan.h"

namespace wde::server {

// How pairs are scored by a model, and where the scores are found in the answers.
struct Scoring {
  bool pairs = false;                           // by a cross-encoder: one answer a pair
  std::vector<std::pair<size_t, size_t>> ends;  // else the answers of each pair's texts
};

// A language model that reranks is told what to judge; vLLM's `instruction` takes the place of its own. Cross-encoders
// are told nothing.
PromptChoice read_instruction(const Fields& fields, const ModelFacts& model);
// Fills the plan's task and requests. `left` has one text, or as many as `right`.
Scoring plan_scores(Plan& plan, const PromptChoice& instruction, const std::vector<std::string>& left,
                    std::vector<std::string> right, const Cut& cut);
// One a pair, between 0 and 1 from a cross-encoder; `raw`: before any activation.
std::vector<float> scores_of(const Scoring& scoring, const Answer& answer, bool raw);
// A cross-encoder made with an activation of its own (or none) scores as that says: vLLM's and the library's way.
std::vector<float> models_scores(const Scoring& scoring, const Answer& answer);

}  // namespace wde::server
