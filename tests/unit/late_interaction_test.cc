// Late interaction: the readers of its files, and the engine that scores pairs by the vectors of tokens.
#include "loader/late_interaction.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "engine/late_interaction.h"
#include "loader/sentence_transformers.h"
#include "loader_files.h"
#include "test_paths.h"

namespace wde {
namespace {

using test::expect_contains;
using test::load_error;
using test::TempDirectory;

constexpr std::string_view kDense =
    R"({"in_features": 32, "out_features": 8, "bias": false, "activation_function": "torch.nn.modules.linear.Identity"})";

class LateInteractionTest : public testing::Test {
 protected:
  // Modules behind the Transformer, each in a folder called like it.
  void modules(std::initializer_list<std::string> types) const {
    std::string json = R"([{"path": "", "type": "sentence_transformers.models.Transformer"})";
    for (const std::string& type : types) {
      json += R"(, {"path": ")" + type + R"(", "type": "pylate.models.)" + type + R"("})";
    }
    directory_.write("modules.json", json + "]");
  }
  void model(std::string_view config) const { directory_.write("config_sentence_transformers.json", config); }
  LateInteraction read() const {
    const SentenceTransformersSpec spec = read_sentence_transformers(directory_.path(), 32);
    EXPECT_TRUE(spec.late_interaction);
    return spec.late_interaction.value_or(LateInteraction{});
  }
  std::string read_error() const {
    return load_error([&] { (void)read_sentence_transformers(directory_.path(), 32); });
  }
  void pylate(const std::string& keys, std::string_view dense = kDense) const {
    modules({"Dense"});
    directory_.write("Dense/config.json", dense);
    model(R"({"model_type": "ColBERT")" + keys + "}");
  }
  LateInteraction own(const std::string& transformer) const {
    modules({"Dense", "MultiVectorMask", "Normalize"});
    directory_.write("Dense/config.json", kDense);
    directory_.write("Normalize/config.json", R"({"module_input_name": "token_embeddings"})");
    directory_.write("MultiVectorMask/config.json", R"({"skiplist_words": ["x"], "skiplist_tasks": ["query"]})");
    directory_.write("sentence_bert_config.json", transformer);
    model(R"({"model_type": "MultiVectorEncoder", "prompts": {"query": "q", "document": null}})");
    return read();
  }
  TempDirectory directory_;
};

TEST_F(LateInteractionTest, StanfordWithItsFile) {
  directory_.write("config.json", R"({"architectures": ["HF_ColBERT"]})");
  directory_.write("artifact.metadata", R"({"query_token_id": "[q]", "doc_token_id": "[d]", "query_maxlen": 16,
      "doc_maxlen": 300, "mask_punctuation": false, "attend_to_mask_tokens": true})");
  const LateInteraction late = read();
  EXPECT_EQ(late.query.marker, "[q]");
  EXPECT_EQ(late.document.marker, "[d]");
  EXPECT_EQ(late.query.max_length, 16u);
  EXPECT_EQ(late.document.max_length, 300u);
  EXPECT_EQ(late.fill_to, 16u);
  EXPECT_TRUE(late.fill_is_seen);
  EXPECT_TRUE(late.skipped_words.empty());
  EXPECT_TRUE(late.linear_in_checkpoint);
}

TEST_F(LateInteractionTest, StanfordWithoutIt) {
  directory_.write("config.json", R"({"architectures": ["HF_ColBERT"]})");
  const LateInteraction late = read();
  EXPECT_EQ(late.query.marker, "[unused0]");
  EXPECT_EQ(late.document.marker, "[unused1]");
  EXPECT_EQ(late.fill_to, 32u);
  EXPECT_FALSE(late.fill_is_seen);
  EXPECT_EQ(late.skipped_words.size(), 32u);
}

TEST_F(LateInteractionTest, StanfordBadFile) {
  directory_.write("config.json", R"({"architectures": ["HF_ColBERT"]})");
  for (const auto& [content, says] : {std::pair{R"({"query_maxlen": "32"})", "query_maxlen"},
                                      {R"({"doc_maxlen": -1})", "doc_maxlen"},
                                      {R"({"mask_punctuation": 1})", "mask_punctuation"},
                                      {"not json", "JSON"}}) {
    directory_.write("artifact.metadata", content);
    expect_contains(read_error(), {"artifact.metadata", says});
  }
}

TEST_F(LateInteractionTest, PyLateDefaults) {
  pylate(R"(, "query_prefix": "[Q] ", "document_prefix": "[D] ")");
  const LateInteraction late = read();
  EXPECT_EQ(late.query.marker, "[Q] ");
  EXPECT_EQ(late.document.marker, "[D] ");
  EXPECT_EQ(late.fill_to, 32u);
  EXPECT_FALSE(late.fill_is_seen);
  EXPECT_TRUE(late.normalize);
  EXPECT_FALSE(late.mean);
  EXPECT_EQ(late.skipped_words.size(), 32u);
  ASSERT_EQ(late.dense.size(), 1u);
  EXPECT_EQ(late.dense[0].out_features, 8u);
}

TEST_F(LateInteractionTest, PyLateWithoutExpansion) {
  pylate(R"(, "do_query_expansion": false, "query_length": 20, "skiplist_words": [])");
  const LateInteraction late = read();
  EXPECT_EQ(late.fill_to, 0u);
  EXPECT_EQ(late.query.max_length, 20u);
  EXPECT_TRUE(late.skipped_words.empty());
}

TEST_F(LateInteractionTest, DocumentsMayBeLongerThanTheTransformerSays) {
  directory_.write("sentence_bert_config.json", R"({"max_seq_length": 179})");
  pylate(R"(, "document_length": 180, "query_prefix": "[Q] ", "prompts": {"query": "[Q] find: "})");
  const SentenceTransformersSpec spec = read_sentence_transformers(directory_.path(), 32);
  EXPECT_EQ(spec.max_seq_length, 180u);
  EXPECT_EQ(spec.prompts.at("query"), "find: ") << "the marker goes in by itself";
}

TEST_F(LateInteractionTest, OwnForm) {
  const LateInteraction late = own(
      R"({"document_length": 99, "query_expansion": {"strategy": "min", "length": 12, "attend": true, "token": "t"}})");
  EXPECT_EQ(late.fill_to, 12u);
  EXPECT_EQ(late.query.max_length, 0u) << "min: no query is cut";
  EXPECT_TRUE(late.fill_is_seen);
  EXPECT_EQ(late.fill_token, "t");
  EXPECT_EQ(late.document.max_length, 99u);
  EXPECT_EQ(late.skipped_words, std::vector<std::string>{"x"});
  EXPECT_TRUE(late.skip_in_queries);
  EXPECT_FALSE(late.skip_in_documents);
  EXPECT_TRUE(late.query.marker.empty());
}

TEST_F(LateInteractionTest, OwnFormBadFiles) {
  own("{}");
  for (const auto& [content, says] :
       {std::pair{R"({"query_expansion": {"strategy": "max", "length": 12}})", "strategy"},
        {R"({"query_expansion": {"strategy": "min"}})", "length"},
        {R"({"query_expansion": {"strategy": "fixed", "length": 0}})", "length"},
        {R"({"query_length": 8, "query_expansion": {"strategy": "fixed", "length": 12}})", "at least"},
        {R"({"query_expansion": 12})", "query_expansion"}}) {
    directory_.write("sentence_bert_config.json", content);
    expect_contains(read_error(), {"sentence_bert_config.json", says});
  }
}

TEST_F(LateInteractionTest, ModulesThatWouldBeIgnored) {
  own("{}");
  directory_.write("MultiVectorMask/config.json", R"({"keep_only_token_ids": [5]})");
  expect_contains(read_error(), {"keep_only_token_ids"});
  own("{}");
  directory_.write("Normalize/config.json", R"({"module_input_name": "sentence_embedding"})");
  expect_contains(read_error(), {"Normalize", "token_embeddings"});
  own("{}");
  modules({"Dense", "Normalize", "Dense"});
  directory_.write("Normalize/config.json", R"({"module_input_name": "token_embeddings"})");
  expect_contains(read_error(), {"behind Normalize"});
  modules({"Dense", "HierarchicalTokenPooling"});
  expect_contains(read_error(), {"module 2", "HierarchicalTokenPooling", "MultiVectorMask"});
}

TEST_F(LateInteractionTest, DenseMustFit) {
  pylate("", R"({"in_features": 31, "out_features": 8})");
  expect_contains(read_error(), {"Dense", "in_features", "31"});
  pylate("", R"({"in_features": 32, "out_features": 8, "module_input_name": "sentence_embedding"})");
  expect_contains(read_error(), {"Dense", "token_embeddings"});
  modules({});
  expect_contains(read_error(), {"expected a Dense"});
}

TEST_F(LateInteractionTest, OtherModelsAreNone) {
  modules({"Pooling"});
  directory_.write("Pooling/config.json", R"({"embedding_dimension": 32, "pooling_mode": "mean"})");
  model(R"({"model_type": "SentenceTransformer", "prompts": {}})");
  EXPECT_FALSE(read_sentence_transformers(directory_.path(), 32).late_interaction);
}

TEST(MaxSim, IsTheSumOfTheBestProducts) {
  const Output query{"vectors", {2, 3}, {1, 0, 0, 0, 2, 0}, {}};
  const Output document{"vectors", {3, 3}, {0.5f, 1, 9, -1, 3, 0, 0.25f, -4, 0}, {}};
  EXPECT_EQ(max_sim(query, document, false), 0.5f + 6.0f);
  EXPECT_EQ(max_sim(query, document, true), 3.25f);
  EXPECT_EQ(max_sim(query, {"vectors", {0, 3}, {}, {}}, false), 0.0f);
  // More columns than go together, with a rest.
  const size_t size = 19;
  Output a{"vectors", {1, size}, std::vector<float>(size), {}}, b = a;
  for (size_t i = 0; i < size; ++i) a.values[i] = static_cast<float>(i), b.values[i] = i % 2 == 0 ? 1.0f : -2.0f;
  EXPECT_EQ(max_sim(a, b, false), 90.0f - 2 * 81.0f);
}

EngineArgs args_of(const std::string& name, const std::string& task) {
  EngineArgs args;
  args.set("model", std::string(test::kData) + "/" + name).set("task", task);
  return args;
}

std::vector<float> scores_of(Engine& engine, const std::vector<Request>& requests, size_t& tokens) {
  std::vector<std::future<Result<Response>>> futures;
  for (const Request& request : requests) futures.push_back(engine.submit(request));
  std::vector<float> scores;
  for (auto& future : futures) {
    const Result<Response> result = future.get();
    EXPECT_TRUE(result.ok()) << result.error().message;
    tokens += result.ok() ? result.value().tokens : 0;
    scores.push_back(result.ok() ? result.value().outputs.at(0).values.at(0) : -1);
  }
  return scores;
}

TEST(MaxSimEngine, ComputesAQueryOnceForItsDocuments) {
  const auto engine = Engine::create(args_of("colbert-stanford", "score"));
  EXPECT_EQ(engine->info().task, "score");
  const std::string query = "what is it?";
  size_t one = 0, many = 0, separate = 0;
  scores_of(*engine, {{TextPair{query, "a text"}}}, one);
  const auto before = engine->statistics();
  std::vector<Request> requests(10, Request{TextPair{"another query", "a text"}});
  const auto same = scores_of(*engine, requests, many);
  EXPECT_EQ(std::vector<float>(10, same[0]), same);
  // 32 tokens of the query, once; the document's each time.
  EXPECT_EQ(many, 32 + 10 * (one - 32));
  EXPECT_EQ(engine->statistics().texts - before.texts, 11u);
  for (size_t i = 0; i < requests.size(); ++i) {
    requests[i].input = TextPair{"query number " + std::to_string(i % 2), "a text"};
  }
  const auto alternating = scores_of(*engine, requests, separate);
  EXPECT_EQ(alternating[0], alternating[2]);
  EXPECT_NE(alternating[0], alternating[1]);
}

TEST(MaxSimEngine, WhatIsNoPairAndWhatFails) {
  const auto engine = Engine::create(args_of("colbert-stanford", "score"));
  EXPECT_EQ(engine->submit({std::string("alone")}).get().error().code, ErrorCode::kInvalidInput);
  EXPECT_EQ(engine->submit({TextPair{"bad \xff", "a text"}}).get().error().code, ErrorCode::kInvalidInput);
  EXPECT_EQ(engine->submit({TextPair{"good", "bad \xff"}}).get().error().code, ErrorCode::kInvalidInput);
  EXPECT_TRUE(engine->submit({TextPair{"good", "good"}}).get().ok());
  engine->shutdown();
  EXPECT_EQ(engine->submit({TextPair{"late", "good"}}).get().error().code, ErrorCode::kUnavailable);
}

TEST(MaxSimEngine, FromManyThreads) {
  const auto engine = Engine::create(args_of("colbert-multi-vector-encoder", "score"));
  size_t tokens = 0;
  const auto want = scores_of(*engine, {{TextPair{"q0", "d"}}, {TextPair{"q1", "d"}}}, tokens);
  std::atomic<size_t> wrong = 0;
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < 50; ++i) {
        const size_t q = (i + t) % 2;
        const auto result = engine->submit({TextPair{"q" + std::to_string(q), "d"}}).get();
        if (!result.ok() || result.value().outputs.at(0).values.at(0) != want[q]) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0u);
}

TEST(MaxSimEngine, SharesItsWeights) {
  const auto vectors = Engine::create(args_of("colbert-stanford", "multi_vector"));
  const auto scores = Engine::create(args_of("colbert-stanford", "score"), vectors.get());
  const auto again = Engine::create(args_of("colbert-stanford", "multi_vector"), scores.get());
  EXPECT_TRUE(again->submit({std::string("a text")}).get().ok());
}

TEST(LateInteractionEngine, SidesOfTexts) {
  const auto engine = Engine::create(args_of("colbert-stanford", "multi_vector"));
  const auto rows = [&](Request request) {
    return engine->submit(std::move(request)).get().value().outputs[0].shape[0];
  };
  Request request{std::string("a, b.")};
  EXPECT_EQ(rows(request), 5u) << "a document: [CLS], marker, a, b, [SEP]";
  request.prompt_name = "document";
  EXPECT_EQ(rows(request), 5u);
  request.prompt_name = "query";
  EXPECT_EQ(rows(request), 32u);
  EXPECT_EQ(engine->submit({TextPair{"a", "b"}}).get().error().code, ErrorCode::kInvalidInput);
  request.prompt_name = "nonsense";
  EXPECT_EQ(engine->submit(request).get().error().code, ErrorCode::kInvalidInput);
}

TEST(LateInteractionEngine, ShorterThanWhatFillsUp) {
  EngineArgs args = args_of("colbert-stanford", "multi_vector");
  const auto engine = Engine::create(args.set("max-length", "10"));
  Request request{std::string("a b c d e f g h i j k l m n")};
  for (const char* side : {"query", "document"}) {
    request.prompt_name = side;
    const auto result = engine->submit(request).get();
    EXPECT_EQ(result.value().tokens, 10u);
    EXPECT_TRUE(result.value().truncated);
  }
}

TEST(LateInteractionEngine, RefusesWhatItCannotAnswer) {
  const auto refusal = [](const char* model, const char* task) {
    try {
      (void)Engine::create(args_of(model, task));
    } catch (const std::runtime_error& error) {
      return std::string(error.what());
    }
    return std::string("it was created");
  };
  expect_contains(refusal("colbert-stanford", "embed"), {"multi_vector"});
  expect_contains(refusal("bert-mean", "multi_vector"), {"BertModel", "HF_ColBERT"});
}

}  // namespace
}  // namespace wde
