// What a plan says of its request: fields that have no effect, places of its parts, dimensions, pipelines' parameters.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "no_engine.h"
#include "server/dialects/comparison.h"
#include "server/dialects/routes.h"

namespace wde::server {
namespace {

using Json = nlohmann::json;
using test::NoEngine;

std::shared_ptr<ModelFacts> model(std::vector<std::string> tasks) {
  auto facts = std::make_shared<ModelFacts>();
  facts->name = "m";
  facts->default_task = tasks.front();
  facts->tasks = std::move(tasks);
  facts->info.dimensions = 8;
  facts->info.max_length = 16;
  facts->info.labels = {"good", "bad", "ugly"};
  return facts;
}

Plan plan_of(std::string_view path, std::string body, const std::shared_ptr<ModelFacts>& facts, ApiRules rules = {}) {
  HttpRequest http;
  http.path = path;
  const RouteMatch match = find_route(http.path);
  EXPECT_NE(match.route, nullptr) << path;
  const JsonDocument document(body);
  const PlanContext context{http, document.root(), match.dialect, rules,
                            [&](std::string_view, TaskList) { return facts; }};
  return make_plan(match.route->planner, context);
}

std::string refusal(std::string_view path, const std::string& body, const std::shared_ptr<ModelFacts>& facts,
                    ApiRules rules = {}) {
  try {
    plan_of(path, body, facts, rules);
    return "";
  } catch (const ApiError& error) {
    return error.param + ": " + error.what();
  }
}

Json answer(const Plan& plan, std::vector<Response> responses, std::span<const std::string> warnings = {}) {
  const NoEngine engine;
  Answer found{*plan.model, engine, responses, 7, 0.5, "id", warnings};
  HttpResponse response;
  plan.write(found, response);
  return Json::parse(response.body);
}

Response response_of(const char* name, std::vector<float> values, std::vector<int32_t> ids = {}) {
  Response response;
  response.outputs.push_back({name, {values.size()}, std::move(values), std::move(ids)});
  return response;
}

TEST(ServerAnswers, FieldsWithoutEffectAreNamed) {
  const auto embedder = model({"embed"});
  const Plan plan = plan_of("/v1/embeddings",
                            R"({"input": "a", "foo": 1, "user": "u", "bar": null, "top_k": 3, "a\r\nb": 1})", embedder);
  EXPECT_EQ(plan.warnings, (std::vector<std::string>{"without effect here: foo, top_k, a??b"}));
  EXPECT_TRUE(
      plan_of("/v1/embeddings", R"({"input": "a", "model": "m", "user": "u", "encoding_format": "base64"})", embedder)
          .warnings.empty());
  std::string many = R"({"inputs": "a")";
  for (int i = 0; i < 20; ++i) many += ", \"x" + std::to_string(i) + "\": 1";
  EXPECT_EQ(plan_of("/embed", many + "}", embedder).warnings[0],
            "without effect here: x0, x1, x2, x3, x4, x5, x6, x7 and 12 more");
}

TEST(ServerAnswers, WhatIsNotOfferedIsRefusedByName) {
  const auto embedder = model({"embed"}), classifier = model({"classify"}), scorer = model({"score"});
  EXPECT_EQ(
      refusal("/", R"({"inputs": "x", "parameters": {"candidate_labels": ["a", "b"]}})", classifier),
      "parameters.candidate_labels: `parameters.candidate_labels` asks for zero-shot classification, which is not "
      "offered: a classifier answers with the labels of its own");
  for (const char* path : {"/", "/predict"}) {
    EXPECT_NE(refusal(path, R"({"inputs": "x", "candidate_labels": ["a"]})", classifier), "");
  }
  EXPECT_NE(refusal("/v1/embeddings", R"({"input": "a", "return_multivector": true})", embedder), "");
  EXPECT_EQ(refusal("/v1/embeddings", R"({"input": "a", "return_multivector": false})", embedder), "");
  EXPECT_NE(refusal("/embed", R"({"inputs": "a", "encoding_format": "base64"})", embedder), "");
  EXPECT_EQ(refusal("/embed", R"({"inputs": "a", "encoding_format": "float"})", embedder), "");
  EXPECT_NE(refusal("/v1/rerank", R"({"query": "q", "documents": ["a"], "instruction": "judge"})", scorer), "");
}

TEST(ServerAnswers, ParametersOfPipelines) {
  const auto classifier = model({"classify"});
  std::vector<Response> responses = {response_of("logits", {0, 2, 1})};
  responses[0].outputs.push_back({"probs", {3}, {0.1F, 0.6F, 0.3F}, {}});
  const auto scores = [&](const std::string& parameters) {
    return answer(plan_of("/predict", R"({"inputs": "x", "parameters": )" + parameters + "}", classifier), responses);
  };
  Json found = scores(R"({"top_k": 2})");
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0]["label"], "bad");
  EXPECT_EQ(found[1]["label"], "ugly");
  EXPECT_EQ(scores(R"({"top_k": 9})").size(), 3U);
  EXPECT_EQ(scores(R"({"function_to_apply": "none"})")[0]["score"], 2.0);
  EXPECT_NEAR(scores(R"({"function_to_apply": "sigmoid"})")[0]["score"].get<double>(), 1 / (1 + std::exp(-2.0)), 1e-6);
  const double sum = 1 + std::exp(2.0) + std::exp(1.0);
  EXPECT_NEAR(scores(R"({"function_to_apply": "softmax"})")[1]["score"].get<double>(), std::exp(1.0) / sum, 1e-6);
  EXPECT_NEAR(scores("{}")[0]["score"].get<double>(), 0.6, 1e-6) << "the model's own";
  EXPECT_NE(refusal("/", R"({"inputs": "x", "parameters": {"function_to_apply": "tanh"}})", classifier), "");
  EXPECT_NE(refusal("/", R"({"inputs": "x", "parameters": {"top_k": 0}})", classifier), "");
  EXPECT_NE(refusal("/", R"({"inputs": "x", "top_k": 1, "parameters": {"top_k": 1}})", classifier), "") << "twice";
  const Plan plan =
      plan_of("/", R"({"inputs": "a", "parameters": {"normalize": false, "truncate": false}})", model({"embed"}));
  EXPECT_EQ(plan.requests[0].normalize, false);
  EXPECT_EQ(plan.requests[0].truncation, Truncation::kRefuse);
}

TEST(ServerAnswers, TwoStringsAreOnePairAndTheAnswerSaysSo) {
  const auto classifier = model({"classify"});
  const Plan plan = plan_of("/predict", R"({"inputs": ["x", "y"]})", classifier);
  ASSERT_EQ(plan.warnings.size(), 1U);
  EXPECT_NE(plan.warnings[0].find("one pair"), std::string::npos);
  EXPECT_TRUE(plan_of("/predict", R"({"inputs": [["x", "y"], ["z"]]})", classifier).warnings.empty());
  EXPECT_NE(refusal("/predict", R"({"inputs": ["x", "y", "z"]})", classifier).find(R"([["a"], ["b"]])"),
            std::string::npos);
}

TEST(ServerAnswers, NestedTextsAreNoTokenIds) {
  const auto embedder = model({"embed"});
  for (const char* path : {"/v1/embeddings", "/api/embed"}) {
    const std::string said = refusal(path, R"({"input": [["a", "b"]]})", embedder);
    EXPECT_NE(said.find("input[0]: `input[0]` must be a string; it is an array that holds a string"), std::string::npos)
        << said;
    EXPECT_EQ(said.find("token"), std::string::npos) << said;
  }
  EXPECT_EQ(refusal("/embed", R"({"inputs": [["a"]]})", embedder).find("token"), std::string::npos);
  EXPECT_NE(refusal("/v1/embeddings", R"({"input": [[1, 2]]})", embedder).find("token ids"), std::string::npos);
  EXPECT_NE(refusal("/embed", R"({"inputs": [[1, "a"]]})", embedder).find("holds a string"), std::string::npos);
}

TEST(ServerAnswers, PlacesOfTheParts) {
  const auto all = model({"embed", "sparse", "token_embed", "multi_vector"});
  const auto item = [&](std::string_view path, const std::string& body, size_t i) {
    return plan_of(path, body, all).item(i);
  };
  EXPECT_EQ(item("/v1/embeddings", R"({"input": ["a", "b", "c"]})", 2), "input[2]");
  EXPECT_EQ(item("/v1/embeddings", R"({"input": "a"})", 0), "input");
  EXPECT_EQ(item("/embed_sparse", R"({"inputs": ["a", "b"]})", 1), "inputs[1]");
  EXPECT_EQ(item("/pooling", R"({"input": ["a", "b"]})", 1), "input[1]");
  EXPECT_EQ(item("/v2/embed", R"({"texts": ["a", "b"]})", 1), "texts[1]");
  EXPECT_EQ(item("/api/embed", R"({"input": ["a", "b"]})", 1), "input[1]");
  EXPECT_EQ(item("/similarity", R"({"inputs": {"source_sentence": "a", "sentences": ["b", "c"]}})", 2),
            "inputs.sentences[1]");
  EXPECT_EQ(item("/v1/rerank", R"({"query": "q", "documents": ["b", "c"]})", 0), "query");
  EXPECT_EQ(item("/v1/rerank", R"({"query": "q", "documents": ["b", "c"]})", 2), "documents[1]");
  EXPECT_EQ(item("/score", R"({"text_1": ["a", "b"], "text_2": ["c", "d"]})", 1), "text_1[1]");
  EXPECT_EQ(item("/vertex", R"({"instances": [{"inputs": "a"}, {"inputs": ["b", "c"]}]})", 2),
            "instances[1].inputs[1]");
  const auto scorer = model({"score"});
  EXPECT_EQ(plan_of("/rerank", R"({"query": "q", "texts": ["b", "c"]})", scorer).item(1), "texts[1]");
  EXPECT_EQ(plan_of("/predict", R"({"inputs": [["b"], ["c"]]})", scorer).item(1), "inputs[1]");
}

TEST(ServerAnswers, TruncatedInputs) {
  const auto embedder = model({"embed"});
  std::vector<Response> responses = {response_of("embedding", {1, 0}), response_of("embedding", {0, 1})};
  responses[1].truncated = true;
  Json found = answer(plan_of("/v1/embeddings", R"({"input": ["a", "b"]})", embedder), responses);
  EXPECT_FALSE(found["data"][0].contains("truncated"));
  EXPECT_EQ(found["data"][1]["truncated"], true);
  const std::vector<std::string> warnings = {"a warning"};
  found = answer(plan_of("/v2/embed", R"({"texts": ["a", "b"]})", embedder), responses, warnings);
  EXPECT_EQ(found["meta"]["warnings"], Json::parse(R"(["a warning"])"));
  const std::vector<Response> three = {responses[0], responses[0], responses[1]};
  found = answer(plan_of("/v1/rerank", R"({"query": "q", "documents": ["a", "b"]})", embedder), three);
  for (const Json& one : found["results"]) EXPECT_EQ(one.contains("truncated"), one["index"] == 1) << one;
}

TEST(ServerAnswers, DimensionsThatTheFilesDoNotDeclare) {
  const auto embedder = model({"embed"});
  const std::string body = R"({"input": "a", "dimensions": 4})";
  ApiRules strict;
  strict.strict_dimensions = true;
  EXPECT_TRUE(plan_of("/v1/embeddings", body, embedder).undeclared_dimensions);
  EXPECT_NE(refusal("/v1/embeddings", body, embedder, strict).find("matryoshka"), std::string::npos);
  EXPECT_EQ(refusal("/v1/embeddings", R"({"input": "a", "dimensions": 8})", embedder, strict), "") << "all of them";
  embedder->info.matryoshka = true;
  EXPECT_TRUE(plan_of("/v1/embeddings", body, embedder, strict).warnings.empty());
  embedder->info.matryoshka_dimensions = {2, 4};
  EXPECT_EQ(refusal("/v1/embeddings", body, embedder, strict), "");
  EXPECT_NE(refusal("/v1/embeddings", R"({"input": "a", "dimensions": 3})", embedder, strict).find("2, 4 only"),
            std::string::npos);
  EXPECT_TRUE(plan_of("/embed", R"({"inputs": "a", "dimensions": 3})", embedder).undeclared_dimensions);
}

TEST(ServerAnswers, AdaptersOfOtherTasks) {
  const auto embedder = model({"embed"});
  embedder->info.adapters = {"retrieval.query", "retrieval.passage"};
  embedder->info.adapter = "retrieval.passage";
  const auto said = [&](const std::string& task) {
    return refusal("/v1/embeddings", R"({"input": "a", "task": ")" + task + "\"}", embedder);
  };
  EXPECT_EQ(said("retrieval.passage"), "");
  EXPECT_NE(said("retrieval.query").find("--lora-task retrieval.query"), std::string::npos);
  embedder->info.adapters = {"own"};
  embedder->info.adapter = "own";
  EXPECT_EQ(said("own"), "") << "no role, but the adapter that it is served with";
  embedder->info.adapters.clear();
  embedder->info.adapter.clear();
  EXPECT_EQ(said("retrieval.query"), "") << "a prompt's name, where there are no adapters";
  for (const char* word : {"own", "retrieval.qeury", "code.query"}) {
    EXPECT_NE(said(word).find(std::string("\"") + word + "\" is neither a role (retrieval.query"), std::string::npos);
  }
}

TEST(ServerAnswers, MembersOfObjectsWithinTheBodyThatNobodyReads) {
  const auto embedder = model({"embed"});
  const auto warnings = [&](const std::string& path, const std::string& body) {
    return plan_of(path, body, embedder).warnings;
  };
  const auto effect = [](const std::string& names) {
    return std::vector<std::string>{"without effect here: " + names};
  };
  EXPECT_EQ(warnings("/v1/embeddings", R"({"input": [{"text": "a", "colour": 1}, {"text": "b"}]})"),
            effect("input[0].colour"));
  EXPECT_EQ(warnings("/embed", R"({"inputs": {"text": "a", "lang": "de"}, "else": 1})"), effect("else, inputs.lang"));
  EXPECT_EQ(warnings("/similarity", R"({"inputs": {"source_sentence": "a", "sentences": ["b"], "weights": [1]}})"),
            effect("inputs.weights"));
  EXPECT_EQ(warnings("/v2/embed", R"({"inputs": [{"content": [{"type": "text", "text": "a", "cache": 1}], "id": 3}]})"),
            effect("inputs[0].content[0].cache"));
  EXPECT_TRUE(warnings("/v1/embeddings", R"({"input": [{"text": "a", "colour": null}]})").empty());
  EXPECT_EQ(warnings("/v1/rerank", R"({"query": "a", "documents": [{"text": "a", "title": "b"}]})").size(), 0U)
      << "documents have members that are not to be read";
  EXPECT_NE(refusal("/v2/embed", R"({"texts": ["a"], "inputs": [{"content": "b"}]})", embedder)
                .find("`inputs` cannot come with texts"),
            std::string::npos);
}

TEST(ServerAnswers, SparseModelsRerankByTheirProduct) {
  const auto sparse = model({"sparse", "token_embed"});
  sparse->info.similarity = "dot";
  const Plan plan = plan_of("/v1/rerank", R"({"query": "q", "documents": ["a", "b"]})", sparse);
  EXPECT_EQ(plan.task, "sparse");
  const Json found = answer(plan, {response_of("sparse", {1, 2}, {3, 7}), response_of("sparse", {5, 4}, {1, 3}),
                                   response_of("sparse", {3, 2, 1}, {2, 7, 9})});
  EXPECT_EQ(found["results"][0]["relevance_score"], 4.0);
  EXPECT_EQ(found["results"][1]["relevance_score"], 4.0);
  EXPECT_EQ(found["results"][0]["index"], 0) << "of equal ones the first";
  EXPECT_NE(refusal("/v1/embeddings", R"({"input": "a"})", sparse).find("/embed_sparse"), std::string::npos);
  const std::vector<int32_t> ids_a = {1, 4}, ids_b = {4, 6};
  const std::vector<float> a = {3, 4}, b = {2, 1};
  EXPECT_EQ(similarity("dot", SparseView{ids_a, a}, SparseView{ids_b, b}), 8.0F);
  EXPECT_EQ(similarity("manhattan", SparseView{ids_a, a}, SparseView{ids_b, b}), -6.0F);
  EXPECT_NEAR(similarity("cosine", SparseView{ids_a, a}, SparseView{ids_b, b}), 8 / (5 * std::sqrt(5.0)), 1e-6);
}

TEST(ServerAnswers, HalvesOfSurrogatePairs) {
  const auto text = [](std::string body) {
    const JsonDocument document(body);
    return std::string(Fields(document.root()).need("a").string());
  };
  EXPECT_EQ(text(R"({"a": "cut \ud83d"})"), "cut \xEF\xBF\xBD");
  EXPECT_EQ(text(R"({"a": "\uDE00 low"})"), "\xEF\xBF\xBD low");
  EXPECT_EQ(text(R"({"a": "\ud83d\ude00!"})"), "\xF0\x9F\x98\x80!") << "a whole pair stays";
  EXPECT_EQ(text(R"({"a": "\ud83d\ud83d\ude00"})"), "\xEF\xBF\xBD\xF0\x9F\x98\x80");
  EXPECT_EQ(text(R"({"a": "\ud83d\u0041\ud83dx"})"),
            "\xEF\xBF\xBD"
            "A\xEF\xBF\xBDx");
  EXPECT_EQ(text(R"({"a": "\\ud83d"})"), "\\ud83d") << "no escape";
  EXPECT_EQ(text(R"({"a": "\\\ud83d"})"), "\\\xEF\xBF\xBD");
  EXPECT_EQ(text(R"({"\ud83d": 1, "a": "b"})"), "b") << "in names too";
  for (const char* wrong : {R"({"a": "\ud83"})", R"({"a": "\ud8zz"})", "{\"a\": \"\xED\xA0\xBD\"}", R"({"a": \ud83d})",
                            R"({"a": "\ud83d)", R"({"a": "\x"})"}) {
    EXPECT_THROW(text(wrong), ApiError) << wrong;
  }
}

}  // namespace
}  // namespace wde::server
