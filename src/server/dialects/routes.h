// Routes: which planner answers which path in which dialect. Clients of a certain server may put its name before the
// path ("/tei/rerank", "/cohere/v1/rerank"); paths without it take the requests of all of them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/dialects/plan.h"

namespace wde::server {

enum class Body {
  kJson,
  kJsonAndBytes,  // bytes may follow the JSON, whose length Inference-Header-Content-Length says
  kMessage,       // the planner's own matter
};

struct Route {
  std::string_view path;  // "{model}" in it stands for a model's name, which may have slashes
  Planner planner = nullptr;
  ErrorStyle errors = ErrorStyle::kEnvelope;
  std::vector<Dialect> dialects;  // under whose prefixes, besides without one if kPlain is among them
  std::string_view group;         // "embed" or "predict": TEI's second set of metrics
  Body body = Body::kJson;
};

struct RouteMatch {
  const Route* route = nullptr;  // nullptr: none
  Dialect dialect = Dialect::kPlain;
  std::string_view path;   // without the prefix
  std::string_view model;  // what "{model}" stands for in the path
};

// Of a POST.
RouteMatch find_route(std::string_view path);
const std::vector<Route>& all_routes();
// "tei" -> kTei; splits the prefix off the path. kPlain if there is none.
Dialect split_dialect(std::string_view& path);
ErrorStyle error_style(const RouteMatch& match);
// /rerank and /tokenize belong to several dialects; the body tells whose client asks.
ErrorStyle error_style(const RouteMatch& match, const JsonValue& body);

Plan plan_openai_embeddings(const PlanContext& context);
Plan plan_tei_embed(const PlanContext& context);
Plan plan_tei_embed_all(const PlanContext& context);
Plan plan_tei_embed_sparse(const PlanContext& context);
Plan plan_tei_predict(const PlanContext& context);
Plan plan_entities(const PlanContext& context);
Plan plan_tei_similarity(const PlanContext& context);
Plan plan_tei_default(const PlanContext& context);
Plan plan_tei_vertex(const PlanContext& context);
Plan plan_tokenize(const PlanContext& context);    // TEI's and vLLM's
Plan plan_detokenize(const PlanContext& context);  // likewise
Plan plan_rerank(const PlanContext& context);
Plan plan_cohere_embed(const PlanContext& context);
Plan plan_pooling(const PlanContext& context);
Plan plan_score(const PlanContext& context);
Plan plan_classify(const PlanContext& context);
Plan plan_ollama_embed(const PlanContext& context);
Plan plan_ollama_embeddings(const PlanContext& context);
Plan plan_infinity_images(const PlanContext& context);
Plan plan_infinity_audio(const PlanContext& context);
Plan plan_hub_default(const PlanContext& context);
Plan plan_weaviate_vectors(const PlanContext& context);
Plan plan_weaviate_rerank(const PlanContext& context);
Plan plan_kserve_infer(const PlanContext& context);

}  // namespace wde::server
