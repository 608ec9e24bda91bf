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

// Plan::item of a plan that plan_scores() made; `left` and `right` are the fields of the two sides.
std::function<std::string(size_t)> items_of(const Scoring& scoring, size_t left_count, const std::string& left,
                                            const std::string& right);
// Of a pair: one of its texts was cut.
bool is_truncated(const Scoring& scoring, const Answer& answer, size_t index);

// A language model that reranks is told what to judge; vLLM's `instruction` takes the place of its own. Cross-encoders
// are told nothing, and refuse it (make_plan.cc).
PromptChoice read_instruction(const Fields& fields, const ModelFacts& model);
// Fills the plan's task and requests. `left` has one text, or as many as `right`.
Scoring plan_scores(Plan& plan, const PromptChoice& instruction, const std::vector<std::string>& left,
                    std::vector<std::string> right, const Cut& cut);
// One a pair, between 0 and 1 from a cross-encoder; `raw`: before any activation.
std::vector<float> scores_of(const Scoring& scoring, const Answer& answer, bool raw);
// A cross-encoder made with an activation of its own (or none) scores as that says: vLLM's and the library's way.
std::vector<float> models_scores(const Scoring& scoring, const Answer& answer);

}  // namespace wde::server
