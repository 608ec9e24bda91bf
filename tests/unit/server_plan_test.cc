// Bodies to plans and answers to bodies, without an engine behind them.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "no_engine.h"
#include "server/dialects/routes.h"
#include "server/pages/pages.h"
#include "server/serving/chunks.h"

namespace wde::server {
namespace {

using Json = nlohmann::json;
using test::NoEngine;

std::shared_ptr<ModelFacts> model(std::vector<std::string> tasks) {
  auto facts = std::make_shared<ModelFacts>();
  facts->name = "m";
  facts->default_task = tasks.front();
  facts->tasks = std::move(tasks);
  facts->info.dimensions = 2;
  facts->info.max_length = 16;
  facts->info.labels = {"good", "bad"};
  facts->info.prompts = {{"query", "q: "}, {"passage", "p: "}};
  return facts;
}

// `asked`: for which tasks a planner wants a model where the request names none.
Plan plan_of(const std::string& path, std::string body, std::shared_ptr<ModelFacts> facts, ApiRules rules = {},
             std::vector<std::string>* asked = nullptr) {
  HttpRequest http;
  http.path = path;
  const RouteMatch match = find_route(http.path);
  EXPECT_NE(match.route, nullptr) << path;
  const JsonDocument document(body);
  const PlanContext context{http, document.root(), match.dialect, rules, [&](std::string_view name, TaskList tasks) {
                              if (asked != nullptr && name.empty()) asked->assign(tasks.begin(), tasks.end());
                              return facts;
                            }};
  return make_plan(match.route->planner, context);
}

Json answer(const Plan& plan, std::vector<Response> responses) {
  const NoEngine engine;
  Answer found{*plan.model, engine, responses, 7, 0.5, "id"};
  HttpResponse response;
  plan.write(found, response);
  return Json::parse(response.body);
}

Response vector_response(std::vector<float> values, const char* name = "embedding") {
  Response response;
  response.outputs.push_back({name, {values.size()}, values, {}});
  return response;
}

// What is refused, in the words of the refusal; "" if it is not.
std::string refusal(const std::string& path, const std::string& body, const std::shared_ptr<ModelFacts>& facts) {
  try {
    plan_of(path, body, facts);
    return "";
  } catch (const ApiError& error) {
    return error.what();
  }
}

Response score_response(float logit) {
  Response response;
  response.outputs.push_back({"score", {}, {logit}, {}});
  response.outputs.push_back({"logit", {}, {logit}, {}});
  return response;
}

TEST(ServerPlan, TeiPredictTakesAPairAndABatch) {
  const auto classifier = model({"classify"});
  Plan plan = plan_of("/predict", R"({"inputs": ["a", "b"]})", classifier);
  ASSERT_EQ(plan.requests.size(), 1U);
  EXPECT_EQ(std::get<TextPair>(plan.requests[0].input).document, "b");
  plan = plan_of("/predict", R"({"inputs": [["a"], ["b", "c"]]})", classifier);
  ASSERT_EQ(plan.requests.size(), 2U);
  EXPECT_EQ(std::get<std::string>(plan.requests[0].input), "a");
  const Json found = answer(plan, {vector_response({0.2F, 0.8F}, "probs"), vector_response({0.9F, 0.1F}, "probs")});
  EXPECT_EQ(found[0][0]["label"], "bad");
  EXPECT_EQ(found[1][0]["label"], "good");
}

TEST(ServerPlan, RerankSortsAndNamesByDialect) {
  const auto ranker = model({"score"});
  const std::string body = R"({"query": "q", "documents": ["a", {"text": "b"}, "c"], "top_n": 2})";
  const std::vector<Response> responses = {score_response(-1), score_response(2), score_response(0)};
  Json found = answer(plan_of("/v1/rerank", body, ranker), responses);
  EXPECT_EQ(found["results"].size(), 2U);
  EXPECT_EQ(found["results"][0]["index"], 1);
  EXPECT_NEAR(found["results"][1]["relevance_score"].get<double>(), 0.5, 1e-6);
  EXPECT_EQ(found["results"][0]["document"]["text"], "b");
  found = answer(plan_of("/voyage/v1/rerank", body, ranker), responses);
  EXPECT_EQ(found["data"][0]["index"], 1);
  found = answer(plan_of("/tei/rerank", R"({"query":"q","texts":["a","b","c"],"raw_scores":true})", ranker), responses);
  EXPECT_EQ(found[0]["score"], 2.0);
  EXPECT_EQ(found.size(), 3U);
}

TEST(ServerPlan, RerankByEmbeddingUsesThePrompts) {
  const Plan plan = plan_of("/v1/rerank", R"({"query": "a", "documents": ["b", "c"]})", model({"embed"}));
  ASSERT_EQ(plan.requests.size(), 3U);
  EXPECT_EQ(plan.requests[0].prompt, "q: ");
  EXPECT_EQ(plan.requests[2].prompt, "p: ");
  const Json found = answer(plan, {vector_response({1, 0}), vector_response({0, 1}), vector_response({1, 0})});
  EXPECT_EQ(found["results"][0]["index"], 1);
}

TEST(ServerPlan, RerankComparesAsTheModelsFilesSay) {
  const auto scores = [](const std::string& function) {
    const auto embedder = model({"embed"});
    embedder->info.similarity = function;
    const Plan plan = plan_of("/rerank", R"({"query": "a", "texts": ["b", "c"]})", embedder);
    const Json found = answer(plan, {vector_response({1, 0}), vector_response({0, 2}), vector_response({4, 0})});
    EXPECT_EQ(found.at(0).at("index"), function == "cosine" || function == "dot" ? 1 : 0) << function;
    return std::pair(found.at(0).at("score").get<double>(), found.at(1).at("score").get<double>());
  };
  EXPECT_EQ(scores("cosine"), std::pair(1.0, 0.0));
  EXPECT_EQ(scores("dot"), std::pair(4.0, 0.0));
  EXPECT_EQ(scores("manhattan"), std::pair(-3.0, -3.0));
  EXPECT_NEAR(scores("euclidean").first, -std::sqrt(5.0), 1e-6);
}

TEST(ServerPlan, TruncationInAllWords) {
  const auto embedder = model({"embed"});
  const auto cut = [&](const std::string& fields, bool automatic = true) {
    ApiRules rules;
    rules.auto_truncate = automatic;
    const Plan plan = plan_of("/v1/embeddings", R"({"input": "a")" + fields + "}", embedder, rules);
    return std::pair(plan.requests[0].truncation, plan.requests[0].max_length);
  };
  EXPECT_EQ(cut("").first, Truncation::kModel);
  EXPECT_EQ(cut("", false).first, Truncation::kRefuse);
  EXPECT_EQ(cut(R"(,"truncate":true)", false).first, Truncation::kModel);
  EXPECT_EQ(cut(R"(,"truncate":false)").first, Truncation::kRefuse);
  EXPECT_EQ(cut(R"(,"truncation":false)").first, Truncation::kRefuse);
  EXPECT_EQ(cut(R"(,"truncate":"NONE")").first, Truncation::kRefuse);
  EXPECT_EQ(cut(R"(,"truncate":"START")").first, Truncation::kLeft);
  EXPECT_EQ(cut(R"(,"truncate":"END")", false).first, Truncation::kRight);
  EXPECT_EQ(cut(R"(,"truncation_direction":"Left")").first, Truncation::kLeft);
  EXPECT_EQ(cut(R"(,"truncation_side":"left")").first, Truncation::kLeft);
  EXPECT_EQ(cut(R"(,"truncation_side":"right")").first, Truncation::kRight);
  EXPECT_EQ(cut(R"(,"long_input":"right")").first, Truncation::kRight);
  EXPECT_EQ(cut(R"(,"truncate_prompt_tokens":5)", false), std::pair(Truncation::kModel, size_t{5}));
  EXPECT_EQ(cut(R"(,"truncate_prompt_tokens":-1)", false), std::pair(Truncation::kModel, size_t{0}));
}

TEST(ServerPlan, PromptsByNameAndRole) {
  const auto embedder = model({"embed"});
  const auto prompt = [&](const std::string& fields) {
    return plan_of("/v1/embeddings", R"({"input": "a")" + fields + "}", embedder).shared.prompt;
  };
  EXPECT_EQ(prompt(""), std::nullopt);
  EXPECT_EQ(prompt(R"(,"prompt":"")"), "");
  EXPECT_EQ(prompt(R"(,"prompt_name":"query")"), "q: ");
  EXPECT_EQ(prompt(R"(,"input_type":"search_document")"), "p: ");
  EXPECT_EQ(prompt(R"(,"input_type":"query")"), "q: ");
  EXPECT_EQ(prompt(R"(,"task":"retrieval.passage")"), "p: ");
  EXPECT_EQ(prompt(R"(,"input_type":"classification")"), std::nullopt);
  EXPECT_THROW(prompt(R"(,"prompt_name":"none")"), ApiError);
  EXPECT_EQ(prompt(R"(,"task":"text-matching")"), std::nullopt) << "a role that the model has no prompt for";
  EXPECT_EQ(prompt(R"(,"task":"separation")"), std::nullopt);
}

TEST(ServerPlan, TokenIdsOnlyWhereTheyMeanTheModels) {
  const auto embedder = model({"embed"});
  EXPECT_THROW(plan_of("/v1/embeddings", R"({"input": [1, 2]})", embedder), ApiError);
  ApiRules native;
  native.native_token_input = true;
  Plan plan = plan_of("/v1/embeddings", R"({"input": [[1, 2], [3]]})", embedder, native);
  EXPECT_EQ(std::get<TokenIds>(plan.requests[1].input).ids, std::vector<int32_t>{3});
  plan = plan_of("/embed", R"({"inputs": [1, 2]})", embedder);
  EXPECT_EQ(std::get<TokenIds>(plan.requests[0].input).ids, (std::vector<int32_t>{1, 2}));
  EXPECT_THROW(plan_of("/embed", R"({"inputs": [1, 2.5]})", embedder), ApiError);
  EXPECT_THROW(plan_of("/embed", R"({"inputs": [4294967296]})", embedder), ApiError);
}

TEST(ServerPlan, QuantisedVectors) {
  const auto write = [](std::vector<float> values, VectorFormat format) {
    JsonOut out;
    write_vector(out, values, format);
    return Json::parse(out.view());
  };
  const std::vector<float> values = {0.5F, -0.25F, 0, 1e-9F, -1, 1, 0, 0, 0.1F};
  EXPECT_EQ(write(values, VectorFormat::kUbinary), Json::parse("[148,128]"));
  EXPECT_EQ(write(values, VectorFormat::kBinary), Json::parse("[20,0]"));
  EXPECT_EQ(write(values, VectorFormat::kInt8), Json::parse("[64,-32,0,0,-127,127,0,0,13]"));
  EXPECT_EQ(write({0, 0}, VectorFormat::kUint8), Json::parse("[128,128]"));
}

TEST(ServerPlan, TheWrongModelIsTold) {
  for (const char* path : {"/predict", "/embed_sparse"}) {
    try {
      plan_of(path, R"({"inputs": "a"})", model({"embed"}));
      ADD_FAILURE() << path;
    } catch (const ApiError& error) {
      EXPECT_EQ(error.fault, Fault::kWrongModel);
      EXPECT_EQ(status_of(error.fault, ErrorStyle::kTei), 424);
    }
  }
}

TEST(ServerPlan, DecodeAsksTheEngine) {
  const Json found = answer(plan_of("/decode", R"({"ids": [[1, 2], [3]]})", model({"embed"})), {});
  EXPECT_EQ(found, Json::parse(R"(["2 ids", "1 ids"])"));
}

TEST(ServerPlan, WhoNamesNoModelGetsOneForTheTask) {
  const auto all = model({"embed", "sparse", "score", "classify", "token_classify"});
  const std::vector<std::tuple<const char*, const char*, std::vector<std::string>>> cases = {
      {"/v1/embeddings", R"({"input": "a", "model": "default/not-specified"})", {"embed"}},
      {"/embed", R"({"inputs": "a"})", {"embed"}},
      {"/embed_sparse", R"({"inputs": "a"})", {"sparse"}},
      {"/v2/embed", R"({"texts": ["a"]})", {"embed"}},
      {"/api/embed", R"({"input": "a"})", {"embed"}},
      {"/similarity", R"({"inputs": {"source_sentence": "a", "sentences": ["b"]}})", {"embed"}},
      {"/rerank", R"({"query": "a", "texts": ["b"]})", {"score", "multi_vector", "embed", "sparse"}},
      {"/score", R"({"text_1": "a", "text_2": "b"})", {"score", "multi_vector", "embed", "sparse"}},
      {"/predict", R"({"inputs": "a"})", {"classify", "score"}},
      {"/classify", R"({"input": "a"})", {"classify"}},
      {"/token_classify", R"({"inputs": "a"})", {"token_classify"}},
      {"/", R"({"inputs": "a"})", {}},
      {"/tokenize", R"({"inputs": "a"})", {}},
  };
  for (const auto& [path, body, tasks] : cases) {
    std::vector<std::string> asked = {"nothing"};
    plan_of(path, body, all, {}, &asked);
    EXPECT_EQ(asked, tasks) << path;
  }
}

TEST(ServerPlan, OnlyEmbeddingsAreAveraged) {
  const auto all = model({"embed", "token_embed", "sparse", "score", "classify", "token_classify"});
  const std::string average = R"(, "long_input": "average"})";
  for (const auto& [path, body] : std::vector<std::pair<const char*, std::string>>{
           {"/v1/embeddings", R"({"input": "a")" + average},
           {"/embed", R"({"inputs": "a")" + average},
           {"/", R"({"inputs": "a")" + average},
           {"/v2/embed", R"({"texts": ["a"])" + average},
           {"/api/embed", R"({"input": "a")" + average},
           {"/api/embeddings", R"({"prompt": "a")" + average},
           {"/pooling", R"({"input": "a")" + average},
           {"/similarity", R"({"inputs": {"source_sentence": "a", "sentences": ["b"]})" + average},
           {"/vertex", R"({"instances": [{"inputs": "a")" + average + "]}"}}) {
    EXPECT_TRUE(plan_of(path, body, all).average) << path;
  }
  for (const auto& [path, body] : std::vector<std::pair<const char*, std::string>>{
           {"/embed_all", R"({"inputs": "a")" + average},
           {"/embed_sparse", R"({"inputs": "a")" + average},
           {"/predict", R"({"inputs": "a")" + average},
           {"/token_classify", R"({"inputs": "a")" + average},
           {"/rerank", R"({"query": "a", "texts": ["b"])" + average},
           {"/score", R"({"text_1": "a", "text_2": "b")" + average},
           {"/classify", R"({"input": "a")" + average},
           {"/pooling", R"({"input": "a", "task": "token_embed")" + average},
           {"/vertex", R"({"instances": [{"inputs": "b"}, {"inputs": "a")" + average + "]}"}}) {
    EXPECT_NE(refusal(path, body, all).find("long_input"), std::string::npos) << path;
  }
}

TEST(ServerPlan, NothingIsNoMistakeToOllama) {
  const auto embedder = model({"embed"});
  for (const char* body : {"{}", R"({"input": ""})", R"({"input": []})", R"({"input": null})"}) {
    EXPECT_EQ(answer(plan_of("/api/embed", body, embedder), {})["embeddings"], Json::array()) << body;
  }
  EXPECT_EQ(answer(plan_of("/api/embeddings", R"({"prompt": ""})", embedder), {})["embedding"], Json::array());
  EXPECT_NE(refusal("/api/embed", R"({"input": ["a", ""]})", embedder), "");
  const ApiError error = from_engine({ErrorCode::kTooLong, "the input has 9 tokens"});
  EXPECT_EQ(Json::parse(error_response(error, ErrorStyle::kOllama).body)["error"],
            "the input length exceeds the context length: the input has 9 tokens");
  EXPECT_EQ(Json::parse(error_response(error, ErrorStyle::kEnvelope).body)["error"]["code"], "context_length_exceeded");
  EXPECT_EQ(error_response(error, ErrorStyle::kTei).status, 422);
}

TEST(ServerPlan, Infinity) {
  const auto embedder = model({"embed"});
  EXPECT_EQ(plan_of("/infinity/embeddings", R"({"input": "a", "dimensions": 0})", embedder).requests[0].dimensions, 0U);
  EXPECT_EQ(refusal("/embeddings", R"({"input": "a", "dimensions": 0, "modality": "text"})", embedder), "");
  EXPECT_NE(refusal("/v1/embeddings", R"({"input": "a", "dimensions": 0})", embedder), "");
  const Plan plan = plan_of("/infinity/embeddings", R"({"input": ["AAAA"], "modality": "image"})", embedder);
  EXPECT_TRUE(std::holds_alternative<Image>(plan.requests[0].input));
  EXPECT_NE(refusal("/infinity/embeddings", R"({"input": "a", "modality": "audio"})", embedder), "");
  Json found = answer(plan_of("/infinity/classify", R"({"input": "a"})", model({"classify"})),
                      {vector_response({0.2F, 0.8F}, "probs")});
  EXPECT_EQ(found["data"][0][0]["label"], "bad");
  EXPECT_EQ(found["object"], "classify");
  EXPECT_EQ(found["id"], "id");
  EXPECT_GT(found["created"], 1'500'000'000);
}

TEST(ServerPlan, Vllm) {
  const auto embedder = model({"embed"});
  for (const char* path : {"/v1/embeddings", "/pooling"}) {
    EXPECT_EQ(refusal(path, R"({"input": "a", "embed_dtype": "float32", "endianness": "little"})", embedder), "");
    EXPECT_NE(refusal(path, R"({"input": "a", "embed_dtype": "float16"})", embedder), "");
    EXPECT_NE(refusal(path, R"({"input": "a", "endianness": "big"})", embedder), "");
    EXPECT_EQ(plan_of(path, R"({"input": "a", "use_activation": false})", embedder).requests[0].normalize, false);
  }
  const auto ranker = model({"score"});
  const std::string body = R"({"queries": "a", "documents": ["b"], "instruction": "judge"})";
  EXPECT_NE(refusal("/score", body, ranker), "") << "a cross-encoder cannot be told anything";
  ranker->architecture = "Qwen3ForCausalLM";
  EXPECT_EQ(plan_of("/score", body, ranker).shared.prompt, "judge");
  EXPECT_GT(answer(plan_of("/score", body, ranker), {score_response(1)})["created"], 1'500'000'000);
}

TEST(ServerPlan, Cohere) {
  const auto embedder = model({"embed"});
  EXPECT_EQ(plan_of("/v2/embed", R"({"texts": ["a"], "max_tokens": 4096})", embedder).requests[0].max_length, 16U);
  EXPECT_EQ(plan_of("/v2/embed", R"({"texts": ["a"], "max_tokens": 8})", embedder).requests[0].max_length, 8U);
  const std::string part = R"({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}})";
  const std::string image =
      R"({"inputs": [{"content": [)" + part + R"(]}, {"content": [{"type": "text", "text": "a"}]}]})";
  EXPECT_NE(refusal("/v2/embed", image, embedder).find("image_url"), std::string::npos);
  embedder->info.images = true;
  const Plan plan = plan_of("/v2/embed", image, embedder);
  ASSERT_EQ(plan.requests.size(), 2U);
  EXPECT_TRUE(std::holds_alternative<Image>(plan.requests[0].input));
  EXPECT_EQ(std::get<std::string>(plan.requests[1].input), "a");
  EXPECT_NE(refusal("/v2/embed", R"({"inputs": [{"content": [)" + part + "," + part + "]}]}", embedder), "");
  const std::string query = R"({"query": "q", "documents": ["a"]})";
  const auto version = [&](const char* path) {
    return answer(plan_of(path, query, model({"score"})), {score_response(1)})["meta"]["api_version"]["version"];
  };
  EXPECT_EQ(version("/cohere/v1/rerank"), "1");
  EXPECT_EQ(version("/cohere/v2/rerank"), "2");
}

TEST(ServerPages, TheDescriptionHasEveryRoute) {
  const auto page = find_page("/openapi.json", "");
  ASSERT_TRUE(page);
  const Json paths = Json::parse(page->body)["paths"];
  for (const Route& route : all_routes()) {
    // With a server's name before it, where it has no meaning without.
    const bool described = std::any_of(paths.items().begin(), paths.items().end(), [&](const auto& path) {
      return path.key().ends_with(route.path) && path.value().contains("post");
    });
    EXPECT_TRUE(described) << route.path;
  }
}

TEST(ServerChunks, PiecesAndTheirAverage) {
  std::vector<Request> texts(2);
  texts[0].input = "long";
  texts[0].prompt = "p";
  texts[1].input = "short";
  std::vector<Response> tokenized(2);
  tokenized[0].outputs.push_back({"ids", {7}, {}, {1, 10, 11, 12, 13, 14, 2}});
  tokenized[0].details.special_tokens_mask = {1, 0, 0, 0, 0, 0, 1};
  tokenized[1].outputs.push_back({"ids", {3}, {}, {1, 20, 2}});
  tokenized[1].details.special_tokens_mask = {1, 0, 1};
  const TextParts parts{{}, {1, 1}};
  const Chunks chunks = make_chunks(texts, parts, tokenized, 5);
  ASSERT_EQ(chunks.pieces, (std::vector<size_t>{2, 1}));
  EXPECT_EQ(std::get<TokenIds>(chunks.requests[0].input).ids, (std::vector<int32_t>{1, 10, 11, 2}));
  EXPECT_EQ(std::get<TokenIds>(chunks.requests[1].input).ids, (std::vector<int32_t>{1, 12, 13, 14, 2}));
  EXPECT_FALSE(chunks.requests[0].prompt);
  const std::vector<Response> pieces = {vector_response({1, 0}), vector_response({0, 1}), vector_response({0.5F, 0})};
  auto averaged = average_chunks(chunks, pieces, false);
  ASSERT_EQ(averaged.size(), 2U);
  EXPECT_FLOAT_EQ(averaged[0].outputs[0].values[0], 0.4F);
  EXPECT_FLOAT_EQ(averaged[0].outputs[0].values[1], 0.6F);
  EXPECT_FLOAT_EQ(averaged[1].outputs[0].values[0], 0.5F);
  averaged = average_chunks(chunks, pieces, true);
  EXPECT_NEAR(averaged[0].outputs[0].values[1], 0.6 / std::sqrt(0.52), 1e-6);
  EXPECT_FLOAT_EQ(averaged[1].outputs[0].values[0], 0.5F);  // one piece is what the model gave
  EXPECT_THROW(make_chunks(texts, parts, tokenized, 2), ApiError);
}

TEST(ServerRoutes, Prefixes) {
  EXPECT_EQ(find_route("/tei/rerank").dialect, Dialect::kTei);
  EXPECT_EQ(find_route("/cohere/v2/rerank/").dialect, Dialect::kCohere);
  EXPECT_EQ(find_route("/teifun").route, nullptr);
  EXPECT_EQ(find_route("/cohere/predict").route, nullptr);
  EXPECT_NE(find_route("/tei").route, nullptr);  // POST /
  EXPECT_EQ(error_style(find_route("/tei/v1/embeddings")), ErrorStyle::kTeiOpenAi);
  EXPECT_EQ(error_style(find_route("/api/none")), ErrorStyle::kOllama);
}

}  // namespace
}  // namespace wde::server
