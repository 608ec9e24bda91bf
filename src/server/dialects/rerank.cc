// Reranking in the words of TEI, Cohere v1 and v2, Jina, Voyage, Infinity and vLLM, and vLLM's /score.
#include <fmt/format.h>

#include <algorithm>

#include "server/dialects/routes.h"
#include "server/dialects/shared/pieces.h"
#include "server/dialects/shared/scoring.h"

namespace wde::server {
namespace {

using Type = JsonValue::Type;

struct Ranking {
  Dialect dialect = Dialect::kPlain;  // kTei: an array of {index, score}
  bool voyage = false;                // the list is called "data"
  bool with_documents = false;
  bool documents_bare = false;  // as a string, not {"text": …}
  bool raw = false;
  size_t top = 0;             // 0: all
  const char* version = "2";  // of Cohere's API
  std::vector<std::string> documents;
};

void write_item(JsonOut& out, const Ranking& ranking, size_t index, float score, bool truncated) {
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
  if (!tei && truncated) out.key("truncated").boolean(true);
  out.close('}');
}

// `truncated(i)`: of document i or its query something was cut.
void write_ranking(const Ranking& ranking, const std::vector<float>& scores,
                   const std::function<bool(size_t)>& truncated, const Answer& answer, HttpResponse& response) {
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
  for (size_t i : order) write_item(out, ranking, i, scores[i], truncated(i));
  out.close(']');
  if (!tei) {
    if (!ranking.voyage) {
      // Cohere counts in units of a query with up to a hundred documents.
      const auto units = static_cast<int64_t>((ranking.documents.size() + 99) / 100);
      out.key("meta").open('{').key("api_version").open('{').key("version").plain(ranking.version).close('}');
      write_warnings(out, answer.warnings);
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
  const Fields fields = context.fields();
  Plan plan;
  plan.model = choose_model(context, fields, {task::kScore, task::kMultiVector, task::kEmbed, task::kSparse});
  Ranking ranking;
  ranking.dialect = context.dialect;
  const bool tei = fields.has("texts") || context.dialect == Dialect::kTei;
  if (tei) ranking.dialect = Dialect::kTei;
  std::string query = read_text(fields, "query");
  std::vector<std::string> documents = read_documents(fields, tei ? "texts" : "documents", context.rules);
  // Voyage's word is `top_k`; where both are said, that of this route's own server counts.
  const Dialect dialect = ranking.dialect;
  ranking.voyage = dialect == Dialect::kVoyage;
  for (const char* name : {ranking.voyage ? "top_n" : "top_k", ranking.voyage ? "top_k" : "top_n"}) {
    if (const auto top = fields.whole(name, 0, 1 << 24)) ranking.top = static_cast<size_t>(*top);
  }
  ranking.documents_bare = dialect == Dialect::kInfinity || ranking.voyage;
  const bool by_default = dialect == Dialect::kJina || dialect == Dialect::kVllm ||
                          (dialect == Dialect::kPlain && !context.request.path.starts_with("/v2/"));
  ranking.with_documents = fields.flag(tei ? "return_text" : "return_documents").value_or(!tei && by_default);
  if (context.request.path.find("/v1/") != std::string::npos) ranking.version = "1";
  ranking.raw = fields.flag("raw_scores").value_or(false) || fields.flag("use_activation") == false;
  const Cut cut = read_cut(fields, context.rules);
  const PromptChoice instruction = read_instruction(fields, *plan.model);
  ranking.documents = documents;
  if (const PieceRule rule = read_piece_rule(fields); rule.asked()) {
    return plan_in_pieces(
        {plan.model, instruction, cut, std::move(query), std::move(documents), tei ? "texts" : "documents"}, rule,
        [ranking = std::move(ranking)](PieceScores scores, Answer& answer, HttpResponse& response) {
          const auto whole = [](size_t) { return false; };
          write_ranking(ranking, scores(ranking.raw), whole, answer, response);
        });
  }
  const Scoring scoring = plan_scores(plan, instruction, {std::move(query)}, std::move(documents), cut);
  plan.item = items_of(scoring, 1, "query", tei ? "texts" : "documents");
  plan.batch = true;
  plan.write = [ranking = std::move(ranking), scoring](Answer& answer, HttpResponse& response) {
    const auto truncated = [&](size_t i) { return is_truncated(scoring, answer, i); };
    write_ranking(ranking, scores_of(scoring, answer, ranking.raw), truncated, answer, response);
  };
  return plan;
}

Plan plan_score(const PlanContext& context) {
  const Fields fields = context.fields();
  Plan plan;
  plan.model = choose_model(context, fields, {task::kScore, task::kMultiVector, task::kEmbed, task::kSparse});
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
  const bool raw = fields.flag("use_activation") == false || fields.flag("raw_scores") == true;
  plan.batch = true;
  const Scoring scoring =
      plan_scores(plan, read_instruction(fields, *plan.model), left, std::move(right), read_cut(fields, context.rules));
  plan.item = items_of(scoring, left.size(), names->left, names->right);
  plan.write = [scoring, raw](Answer& answer, HttpResponse& response) {
    const std::vector<float> scores = raw ? scores_of(scoring, answer, true) : models_scores(scoring, answer);
    JsonOut out;
    write_id(out.open('{'), answer);
    out.key("object").plain("list").key("model").text(answer.model.name).key("data").open('[');
    for (size_t i = 0; i < scores.size(); ++i) {
      out.open('{').key("index").integer(static_cast<int64_t>(i)).key("object").plain("score");
      out.key("score").number(scores[i]);
      if (is_truncated(scoring, answer, i)) out.key("truncated").boolean(true);
      out.close('}');
    }
    out.close(']');
    write_usage(out, answer.tokens);
    out.close('}');
    response.body = out.take();
  };
  return plan;
}

}  // namespace wde::server
