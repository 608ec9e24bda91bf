// Reranking in the words of TEI, Cohere v1 and v2, Jina, Voyage, Infinity and vLLM, and vLLM's /score. With a
// cross-encoder each document is read together with the query; with an embedding model their vectors are compared.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "server/dialects/comparison.h"
#include "server/dialects/routes.h"

namespace wde::server {
namespace {

using Type = JsonValue::Type;

// A query stands before each of its documents; a long one with many must not fill the memory.
constexpr size_t kMaxCopiedBytes = 64 << 20;

Request request_of(std::string text) {
  Request request;
  request.input = std::move(text);
  return request;
}

// How pairs are scored by a model, and where the scores are found in the answers.
struct Scoring {
  bool pairs = false;                           // by a cross-encoder: one answer a pair
  std::vector<std::pair<size_t, size_t>> ends;  // else the answers of each pair's texts
};

// A language model that reranks is told what to judge; vLLM's `instruction` takes the place of its own. Cross-encoders
// are told nothing.
PromptChoice read_instruction(const Fields& fields, const ModelFacts& model) {
  PromptChoice choice;
  if (model.architecture.ends_with("ForCausalLM")) choice.text = fields.text("instruction");
  return choice;
}

Scoring plan_scores(Plan& plan, const Fields& fields, const std::vector<std::string>& left,
                    std::vector<std::string> right, const Cut& cut) {
  Scoring scoring;
  const size_t count = right.size();
  size_t copied = 0;
  for (const std::string& text : left) copied += text.size() * (left.size() == 1 ? count : 1);
  if (copied > kMaxCopiedBytes) {
    throw ApiError(Fault::kInvalid, "the query is too long to be compared with so many documents", "query");
  }
  if (plan.model->can(task::kScore)) {
    plan.task = task::kScore;
    scoring.pairs = true;
    for (size_t i = 0; i < count; ++i) {
      Request request;
      request.input = TextPair{left.size() == 1 ? left[0] : left[i], std::move(right[i])};
      plan.requests.push_back(std::move(request));
    }
    apply(cut, read_instruction(fields, *plan.model), plan.requests);
    return scoring;
  }
  need_task(*plan.model, task::kEmbed);
  plan.task = task::kEmbed;
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
  for (const auto& [left, right] : scoring.ends) {
    scores.push_back(similarity(answer.model.info.similarity, output_of(answer.responses[left], "embedding").values,
                                output_of(answer.responses[right], "embedding").values));
  }
  return scores;
}

struct Ranking {
  Dialect dialect = Dialect::kPlain;  // kTei: an array of {index, score}
  bool voyage = false;                // the list is called "data"
  bool with_documents = false;
  bool documents_bare = false;  // as a string, not {"text": …}
  bool raw = false;
  size_t top = 0;             // 0: all
  const char* version = "2";  // of Cohere's API
  std::vector<std::string> documents;
  Scoring scoring;
};

void write_item(JsonOut& out, const Ranking& ranking, size_t index, float score) {
  const bool tei = ranking.dialect == Dialect::kTei;
  out.open('{').key("index").integer(static_cast<int64_t>(index));
  out.key(tei ? "score" : "relevance_score").number(score);
  if (ranking.with_documents) {
    const std::string& text = ranking.documents[index];
    if (tei) {
      out.key("text").text(text);
    } else if (ranking.documents_bare) {
      out.key("document").text(text);
    } else {
      out.key("document").open('{').key("text").text(text).close('}');
    }
  }
  out.close('}');
}

void write_ranking(const Ranking& ranking, Answer& answer, HttpResponse& response) {
  const std::vector<float> scores = scores_of(ranking.scoring, answer, ranking.raw);
  std::vector<size_t> order = best_first(scores);
  if (ranking.top > 0 && ranking.top < order.size()) order.resize(ranking.top);
  JsonOut out;
  const bool tei = ranking.dialect == Dialect::kTei;
  if (!tei) {
    write_id(out.open('{'), answer);
    out.key("object")
        .plain(ranking.voyage ? "list" : "rerank")
        .key("model")
        .text(answer.model.name)
        .key(ranking.voyage ? "data" : "results");
  }
  out.open('[');
  for (size_t i : order) write_item(out, ranking, i, scores[i]);
  out.close(']');
  if (!tei) {
    if (!ranking.voyage) {
      // Cohere counts in units of a query with up to a hundred documents.
      const auto units = static_cast<int64_t>((ranking.documents.size() + 99) / 100);
      out.key("meta").open('{').key("api_version").open('{').key("version").plain(ranking.version).close('}');
      out.key("billed_units").open('{').key("search_units").integer(units).close('}').close('}');
    }
    write_usage(out, answer.tokens);
    out.close('}');
  }
  response.body = out.take();
}

// The texts of one side: a string, an array of strings, {"text"} objects, or vLLM's {"content": […]}.
std::vector<std::string> read_side(const Fields& fields, std::string_view name, const ApiRules& rules) {
  const JsonValue value = fields.need(name);
  if (value.is(Type::kArray)) return read_documents(fields, name, rules);
  return {read_text(fields, name)};
}

}  // namespace

Plan plan_rerank(const PlanContext& context) {
  const Fields fields(context.body);
  Plan plan;
  plan.model = choose_model(context, fields, {task::kScore, task::kMultiVector, task::kEmbed});
  Ranking ranking;
  ranking.dialect = context.dialect;
  const bool tei = fields.has("texts") || context.dialect == Dialect::kTei;
  if (tei) ranking.dialect = Dialect::kTei;
  std::string query = read_text(fields, "query");
  std::vector<std::string> documents = read_documents(fields, tei ? "texts" : "documents", context.rules);
  for (const char* name : {"top_n", "top_k"}) {
    if (const auto top = fields.whole(name, 0, 1 << 24); top && !tei) ranking.top = static_cast<size_t>(*top);
  }
  const Dialect dialect = ranking.dialect;
  ranking.voyage =
      dialect == Dialect::kVoyage || (dialect == Dialect::kPlain && (fields.has("top_k") || fields.has("truncation")));
  ranking.documents_bare = dialect == Dialect::kInfinity || ranking.voyage;
  const bool by_default = dialect == Dialect::kJina || dialect == Dialect::kVllm ||
                          (dialect == Dialect::kPlain && !ranking.voyage && !context.request.path.starts_with("/v2/"));
  ranking.with_documents = fields.flag(tei ? "return_text" : "return_documents").value_or(!tei && by_default);
  if (context.request.path.find("/v1/") != std::string::npos) ranking.version = "1";
  ranking.raw = fields.flag("raw_scores").value_or(false);
  Cut cut = read_cut(fields, context.rules);
  if (const auto tokens = fields.whole("max_tokens_per_doc", 0, 1 << 24); tokens && *tokens > 0) {
    cut.truncation = Truncation::kRight;  // of the pair's longer part, which is the document
  }
  ranking.documents = documents;
  ranking.scoring = plan_scores(plan, fields, {std::move(query)}, std::move(documents), cut);
  plan.batch = true;
  plan.write = [ranking = std::move(ranking)](Answer& answer, HttpResponse& response) {
    write_ranking(ranking, answer, response);
  };
  return plan;
}

Plan plan_score(const PlanContext& context) {
  const Fields fields(context.body);
  Plan plan;
  plan.model = choose_model(context, fields, {task::kScore, task::kMultiVector, task::kEmbed});
  struct Names {
    const char *left, *right;
  };
  static constexpr Names kNames[] = {
      {"queries", "documents"}, {"queries", "items"}, {"data_1", "data_2"}, {"text_1", "text_2"}};
  const Names* names = nullptr;
  for (const Names& known : kNames) {
    if (fields.has(known.left) && fields.has(known.right)) names = &known;
  }
  if (names == nullptr) {
    throw ApiError(Fault::kInvalid, "give `queries` and `documents` (or `text_1` and `text_2`, `data_1` and `data_2`)",
                   "queries");
  }
  const std::vector<std::string> left = read_side(fields, names->left, context.rules);
  std::vector<std::string> right = read_side(fields, names->right, context.rules);
  if (left.size() != 1 && left.size() != right.size()) {
    invalid(fields, names->left, fmt::format("must be one text or as many as `{}` has", names->right));
  }
  // Cross-encoders made with an activation of their own (or none) score as that says: vLLM's and the library's way.
  const bool raw = fields.flag("use_activation") == false || fields.flag("raw_scores") == true;
  plan.batch = true;
  const Scoring scoring = plan_scores(plan, fields, left, std::move(right), read_cut(fields, context.rules));
  plan.write = [scoring, raw](Answer& answer, HttpResponse& response) {
    std::vector<float> scores;
    if (scoring.pairs && !raw) {
      for (const Response& one : answer.responses) scores.push_back(output_of(one, "score").values.at(0));
    } else {
      scores = scores_of(scoring, answer, raw);
    }
    JsonOut out;
    write_id(out.open('{'), answer);
    out.key("object").plain("list").key("model").text(answer.model.name).key("data").open('[');
    for (size_t i = 0; i < scores.size(); ++i) {
      out.open('{').key("index").integer(static_cast<int64_t>(i)).key("object").plain("score");
      out.key("score").number(scores[i]).close('}');
    }
    out.close(']');
    write_usage(out, answer.tokens);
    out.close('}');
    response.body = out.take();
  };
  return plan;
}

}  // namespace wde::server
