// What Weaviate's modules text2vec-transformers and reranker-transformers ask of their containers: /vectors and
// /rerank.
#include <fmt/format.h>

#include <algorithm>

#include "server/dialects/routes.h"
#include "server/dialects/shared/scoring.h"

namespace wde::server {
namespace {

using Type = JsonValue::Type;

// "masked_mean" is what Weaviate sends where its user chose nothing, so it means the model's own pooling, as it does to
// Weaviate's container with a model of sentence-transformers. Any other word is somebody's wish.
void check_pooling(const Fields& config, const ModelFacts& model) {
  const auto wanted = config.text("pooling_strategy");
  if (!wanted || wanted->empty() || *wanted == "masked_mean") return;
  const auto found = std::find_if(model.info.facts.begin(), model.info.facts.end(),
                                  [](const auto& fact) { return fact.first == "pooling"; });
  const std::string own = found == model.info.facts.end() ? "" : found->second;
  if (own == *wanted || own.starts_with(*wanted + " ")) return;
  invalid(config, "pooling_strategy",
          fmt::format("is \"{}\", but this model's is {}, and no other gives its vectors: leave it out", *wanted, own));
}

PromptChoice read_task_type(const Fields& config, const ModelFacts& model) {
  PromptChoice choice;
  const auto side = config.choice("task_type", {"query", "passage"});
  if (!side) return choice;
  if (const std::string* own = model.prompt_for(*side == 0 ? "query" : "document")) choice.text = *own;
  return choice;
}

}  // namespace

// {"text": "…", "config": {…}} or {"texts": ["…", …], "config": {…}}. What else Weaviate sends ("vector", "dims",
// "error") are the answer's members, empty.
Plan plan_weaviate_vectors(const PlanContext& context) {
  const Fields fields = context.fields();
  for (const char* name : {"vector", "dims", "error"}) (void)fields.has(name);  // the answer's members, sent empty
  Plan plan;
  plan.model = choose_model(context, fields, {task::kEmbed});
  need_task(*plan.model, task::kEmbed);
  plan.task = task::kEmbed;
  plan.batch = fields.has("texts");
  std::vector<std::string> texts;
  if (plan.batch) {
    texts = read_documents(fields, "texts", context.rules);
  } else {
    texts.push_back(read_text(fields, "text"));
  }
  const auto given = fields.find("config");
  const Fields config = given ? Fields(*given, "config.", context.log) : Fields();
  check_pooling(config, *plan.model);
  const size_t dimensions = read_dimensions(config, *plan.model);
  for (const std::string& text : texts) {
    Request& request = plan.requests.emplace_back();
    request.input = text;
    request.dimensions = dimensions;
    request.normalize = true;
  }
  apply(read_cut(fields, context.rules), read_task_type(config, *plan.model), plan.requests);
  plan.item = plan.batch ? items_of("texts") : [](size_t) { return std::string("text"); };
  plan.write = [batch = plan.batch, text = texts[0]](Answer& answer, HttpResponse& response) {
    const auto vector = [&](size_t i) -> const std::vector<float>& {
      return output_of(answer.responses[i], "embedding").values;
    };
    const auto dims = static_cast<int64_t>(vector(0).size());
    JsonOut out(expected_bytes(answer));
    out.open('{');
    if (batch) {
      out.key("vectors").open('[');
      for (size_t i = 0; i < answer.responses.size(); ++i) out.floats(vector(i));
      out.close(']');
    } else {
      out.key("text").text(text).key("vector").floats(vector(0));
    }
    // The container says "dim", the module reads "dims".
    out.key("dims").integer(dims).key("dim").integer(dims).close('}');
    response.body = out.take();
  };
  return plan;
}

// {"query", "documents"}, or {"query", "property"} for one text: the model's own scores, in the documents' order.
Plan plan_weaviate_rerank(const PlanContext& context) {
  const Fields fields = context.fields();
  Plan plan;
  plan.model = choose_model(context, fields, {task::kScore, task::kMultiVector, task::kEmbed});
  const std::string query = read_text(fields, "query");
  plan.batch = fields.has("documents");
  std::vector<std::string> documents;
  if (plan.batch) {
    documents = read_documents(fields, "documents", context.rules);
  } else {
    documents.push_back(read_text(fields, "property"));
  }
  const Scoring scoring = plan_scores(plan, {}, {query}, documents, read_cut(fields, context.rules));
  plan.item = items_of(scoring, 1, "query", "documents");
  plan.write = [scoring, query, documents, batch = plan.batch, property = fields.text("property")](
                   Answer& answer, HttpResponse& response) {
    const std::vector<float> scores = models_scores(scoring, answer);
    JsonOut out;
    out.open('{').key("query").text(query);
    if (batch) {
      out.key("scores").open('[');
      for (size_t i = 0; i < scores.size(); ++i) {
        out.open('{').key("document").text(documents[i]).key("score").number(scores[i]).close('}');
      }
      out.close(']');
    } else {
      out.key("score").number(scores[0]);
    }
    if (property) out.key("property").text(*property);
    out.close('}');
    response.body = out.take();
  };
  return plan;
}

}  // namespace wde::server
