#include "server/dialects/routes.h"

#include <algorithm>
#include <array>
#include <utility>

namespace wde::server {
namespace {

using D = Dialect;

constexpr std::array<std::pair<std::string_view, Dialect>, 9> kPrefixes = {{{"/openai", D::kOpenAi},
                                                                            {"/tei", D::kTei},
                                                                            {"/cohere", D::kCohere},
                                                                            {"/jina", D::kJina},
                                                                            {"/voyage", D::kVoyage},
                                                                            {"/infinity", D::kInfinity},
                                                                            {"/vllm", D::kVllm},
                                                                            {"/ollama", D::kOllama},
                                                                            {"/weaviate", D::kWeaviate}}};

// Whether `path` is what `route` says, and which model it names.
bool matches(std::string_view route, std::string_view path, std::string_view& model) {
  constexpr std::string_view kModel = "{model}";
  const size_t at = route.find(kModel);
  if (at == std::string_view::npos) return route == path;
  const std::string_view before = route.substr(0, at), after = route.substr(at + kModel.size());
  if (path.size() <= before.size() + after.size() || !path.starts_with(before) || !path.ends_with(after)) return false;
  model = path.substr(before.size(), path.size() - before.size() - after.size());
  return true;
}

bool speaks(const Route& route, Dialect dialect) {
  return std::find(route.dialects.begin(), route.dialects.end(), dialect) != route.dialects.end();
}

}  // namespace

const std::vector<Route>& all_routes() {
  using S = ErrorStyle;
  static const std::vector<Dialect> openai = {D::kPlain, D::kOpenAi, D::kJina, D::kVoyage, D::kInfinity, D::kVllm};
  static const std::vector<Dialect> tei = {D::kPlain, D::kTei};
  static const std::vector<Dialect> rerank = {D::kPlain, D::kCohere, D::kJina, D::kVoyage, D::kInfinity, D::kVllm};
  static const std::vector<Dialect> cohere = {D::kPlain, D::kCohere, D::kVllm};
  static const std::vector<Dialect> vllm = {D::kPlain, D::kVllm};
  static const std::vector<Dialect> ollama = {D::kPlain, D::kOllama};
  static const std::vector<Route> routes = {
      {"/v1/embeddings", plan_openai_embeddings, S::kTeiOpenAi, {D::kTei}, "embed"},
      {"/embeddings", plan_openai_embeddings, S::kTeiOpenAi, {D::kTei}, "embed"},
      {"/v1/embeddings", plan_openai_embeddings, S::kEnvelope, openai, "embed"},
      {"/v1/embeddings", plan_openai_embeddings, S::kEnvelope, {D::kOllama}, "embed"},
      {"/embeddings", plan_openai_embeddings, S::kEnvelope, openai, "embed"},
      {"/deployments/{model}/embeddings", plan_openai_embeddings, S::kEnvelope, {D::kOpenAi}, "embed"},  // Azure's
      {"/embed", plan_tei_embed, S::kTei, tei, "embed"},
      {"/embed_all", plan_tei_embed_all, S::kTei, tei, "embed"},
      {"/embed_sparse", plan_tei_embed_sparse, S::kTei, tei, "embed"},
      {"/similarity", plan_tei_similarity, S::kTei, tei, "embed"},
      {"/predict", plan_tei_predict, S::kTei, tei, "predict"},
      {"/token_classify", plan_entities, S::kTei, {D::kPlain}, "predict"},
      {"/rerank", plan_rerank, S::kTei, {D::kTei}, "predict"},
      {"/tokenize", plan_tokenize, S::kTei, {D::kPlain, D::kTei}, ""},
      {"/decode", plan_detokenize, S::kTei, tei, ""},
      {"/tokenize", plan_tokenize, S::kEnvelope, {D::kVllm}, ""},
      {"/detokenize", plan_detokenize, S::kEnvelope, vllm, ""},
      {"/vertex", plan_tei_vertex, S::kTei, tei, "embed"},
      {"/invocations", plan_tei_default, S::kTei, tei, "embed"},
      {"/", plan_hub_default, S::kTei, {D::kPlain}, "embed"},
      {"/", plan_tei_default, S::kTei, {D::kTei}, "embed"},
      {"/rerank", plan_rerank, S::kEnvelope, rerank, "predict"},
      {"/v1/rerank", plan_rerank, S::kEnvelope, rerank, "predict"},
      {"/v2/rerank", plan_rerank, S::kEnvelope, rerank, "predict"},
      {"/reranking", plan_rerank, S::kEnvelope, {D::kPlain}, "predict"},
      {"/v1/reranking", plan_rerank, S::kEnvelope, {D::kPlain}, "predict"},
      {"/v1/embed", plan_cohere_embed, S::kEnvelope, cohere, "embed"},
      {"/v2/embed", plan_cohere_embed, S::kEnvelope, cohere, "embed"},
      {"/pooling", plan_pooling, S::kEnvelope, vllm, "embed"},
      {"/score", plan_score, S::kEnvelope, vllm, "predict"},
      {"/v1/score", plan_score, S::kEnvelope, vllm, "predict"},
      {"/classify", plan_classify, S::kEnvelope, {D::kPlain, D::kVllm, D::kInfinity}, "predict"},
      {"/api/embed", plan_ollama_embed, S::kOllama, ollama, "embed"},
      {"/api/embeddings", plan_ollama_embeddings, S::kOllama, ollama, "embed"},
      {"/embeddings_image", plan_infinity_images, S::kEnvelope, {D::kPlain, D::kInfinity}, "embed"},
      {"/embeddings_audio", plan_infinity_audio, S::kEnvelope, {D::kPlain, D::kInfinity}, "embed"},
      {"/vectors", plan_weaviate_vectors, S::kBare, {D::kWeaviate}, "embed"},
      {"/rerank", plan_weaviate_rerank, S::kBare, {D::kWeaviate}, "predict"},
      {"/v2/models/{model}/versions/1/infer", plan_kserve_infer, S::kBare, {D::kPlain}, "predict", Body::kJsonAndBytes},
      {"/v2/models/{model}/infer", plan_kserve_infer, S::kBare, {D::kPlain}, "predict", Body::kJsonAndBytes},
  };
  return routes;
}

Dialect split_dialect(std::string_view& path) {
  for (const auto& [prefix, dialect] : kPrefixes) {
    if (!path.starts_with(prefix)) continue;
    const std::string_view rest = path.substr(prefix.size());
    if (!rest.empty() && rest[0] != '/') continue;
    path = rest.empty() ? std::string_view("/") : rest;
    return dialect;
  }
  return Dialect::kPlain;
}

RouteMatch find_route(std::string_view path) {
  RouteMatch match;
  match.dialect = split_dialect(path);
  // Clients that join a base URL and a path often leave a slash at the end.
  if (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  match.path = path;
  for (const Route& route : all_routes()) {
    if (speaks(route, match.dialect) && matches(route.path, path, match.model)) {
      match.route = &route;
      break;
    }
  }
  return match;
}

ErrorStyle error_style(const RouteMatch& match) {
  if (match.route != nullptr) return match.route->errors;
  if (match.dialect == Dialect::kTei || match.path == "/info") return ErrorStyle::kTei;
  const bool kserve = match.path == "/v2" || match.path.starts_with("/v2/models/");
  if (match.dialect == Dialect::kWeaviate || kserve) return ErrorStyle::kBare;
  return match.path.starts_with("/api/") ? ErrorStyle::kOllama : ErrorStyle::kEnvelope;
}

ErrorStyle error_style(const RouteMatch& match, const JsonValue& body) {
  if (match.dialect != Dialect::kPlain || !body.is(JsonValue::Type::kObject)) return match.route->errors;
  const Fields fields(body);
  if (match.path == "/rerank" && fields.has("texts")) return ErrorStyle::kTei;
  if (match.path == "/tokenize" && fields.has("prompt")) return ErrorStyle::kEnvelope;
  return match.route->errors;
}

}  // namespace wde::server
