#include "server/dialects/shared/scoring.h"

#include <fmt/format.h>

#include <iterator>

#include "server/dialects/comparison.h"

namespace wde::server {
namespace {

// A query is read with each of its documents, before anything is cut.
constexpr size_t kMaxReadBytes = 64 << 20;

Request request_of(std::string text) {
  Request request;
  request.input = std::move(text);
  return request;
}

}  // namespace

std::function<std::string(size_t)> items_of(const Scoring& scoring, size_t left_count, const std::string& left,
                                            const std::string& right) {
  if (scoring.pairs) return server::items_of(right);
  return [left_count, left, right](size_t i) {
    if (i >= left_count) return fmt::format("{}[{}]", right, i - left_count);
    return left_count == 1 ? left : fmt::format("{}[{}]", left, i);
  };
}

PromptChoice read_instruction(const Fields& fields, const ModelFacts& model) {
  PromptChoice choice;
  if (model.architecture.ends_with("ForCausalLM")) choice.text = fields.text("instruction");
  return choice;
}

Scoring plan_scores(Plan& plan, const PromptChoice& instruction, const std::vector<std::string>& left,
                    std::vector<std::string> right, const Cut& cut) {
  Scoring scoring;
  const size_t count = right.size();
  size_t read = 0;
  for (const std::string& text : left) read += text.size() * (left.size() == 1 ? count : 1);
  if (read > kMaxReadBytes) {
    throw ApiError(Fault::kInvalid, "the query is too long to be compared with so many documents", "query");
  }
  if (plan.model->can(task::kScore)) {
    plan.task = task::kScore;
    scoring.pairs = true;
    if (left.size() == 1) plan.shared.query = left[0];
    for (size_t i = 0; i < count; ++i) {
      Request request;
      request.input = TextPair{left.size() == 1 ? "" : left[i], std::move(right[i])};
      plan.requests.push_back(std::move(request));
    }
    plan.shared.prompt = instruction.text;
    apply(cut, {}, plan.requests);
    return scoring;
  }
  const bool sparse = !plan.model->can(task::kEmbed) && plan.model->can(task::kSparse);
  if (!sparse) need_task(*plan.model, task::kEmbed);
  plan.task = sparse ? task::kSparse : task::kEmbed;
  const auto add = [&](std::vector<std::string> texts, std::string_view role) {
    std::vector<Request> requests;
    for (std::string& text : texts) requests.push_back(request_of(std::move(text)));
    PromptChoice prompt;
    if (const std::string* own = plan.model->prompt_for(role)) prompt.text = *own;
    apply(cut, prompt, requests);
    std::move(requests.begin(), requests.end(), std::back_inserter(plan.requests));
  };
  add(left, "query");
  add(std::move(right), "document");
  for (size_t i = 0; i < count; ++i) scoring.ends.emplace_back(left.size() == 1 ? 0 : i, left.size() + i);
  return scoring;
}

std::vector<float> scores_of(const Scoring& scoring, const Answer& answer, bool raw) {
  std::vector<float> scores;
  if (scoring.pairs) {
    for (const Response& one : answer.responses) scores.push_back(score_of(one, raw));
    return scores;
  }
  const std::string& function = answer.model.info.similarity;
  for (const auto& [left, right] : scoring.ends) {
    const Output &a = answer.responses[left].outputs.at(0), &b = answer.responses[right].outputs.at(0);
    scores.push_back(a.name == "sparse" ? similarity(function, SparseView{a.ids, a.values}, SparseView{b.ids, b.values})
                                        : similarity(function, a.values, b.values));
  }
  return scores;
}

bool is_truncated(const Scoring& scoring, const Answer& answer, size_t index) {
  if (scoring.pairs) return answer.responses.at(index).truncated;
  const auto& [left, right] = scoring.ends.at(index);
  return answer.responses[left].truncated || answer.responses[right].truncated;
}

std::vector<float> models_scores(const Scoring& scoring, const Answer& answer) {
  if (!scoring.pairs) return scores_of(scoring, answer, false);
  std::vector<float> scores;
  for (const Response& one : answer.responses) scores.push_back(output_of(one, "score").values.at(0));
  return scores;
}

}  // namespace wde::server
