// MaxSim's engine computes a query once for all documents that are asked about it.
#include <gtest/gtest.h>

#include <chrono>

#include "test_paths.h"
#include "wde/engine.h"

namespace wde {
namespace {

constexpr size_t kQueryTokens = 32;

class SharedQueryTest : public testing::Test {
 protected:
  SharedQueryTest() {
    EngineArgs args;
    args.set("model", std::string(test::kData) + "/colbert-stanford").set("task", "score");
    engine_ = Engine::create(args);
  }

  Request pair(const std::string& query, uint64_t group = 0) {
    Request request;
    request.input = TextPair{query, "a text"};
    request.group = group;
    // As the server asks: each request has a deadline of its own.
    request.deadline = std::chrono::steady_clock::now() + std::chrono::hours(1);
    return request;
  }

  size_t tokens_of(const std::vector<Request>& requests) {
    std::vector<std::future<Result<Response>>> futures;
    for (const Request& request : requests) futures.push_back(engine_->submit(request));
    size_t tokens = 0;
    for (auto& future : futures) {
      const Result<Response> result = future.get();
      EXPECT_TRUE(result.ok());
      if (result.ok()) tokens += result.value().tokens;
    }
    return tokens;
  }

  size_t texts_of(const std::vector<Request>& requests) {
    const size_t before = engine_->statistics().texts;
    tokens_of(requests);
    return engine_->statistics().texts - before;
  }

  std::unique_ptr<Engine> engine_;
};

TEST_F(SharedQueryTest, WhateverTheDeadlines) {
  const size_t document = tokens_of({pair("first")}) - kQueryTokens;
  const std::vector<Request> requests(20, pair("second"));
  EXPECT_EQ(texts_of(requests), 21U);
  EXPECT_EQ(tokens_of(std::vector<Request>(20, pair("third"))), kQueryTokens + 20 * document);
}

TEST_F(SharedQueryTest, AlsoWhereClientsTakeTurns) {
  std::vector<Request> requests;
  for (size_t i = 0; i < 60; ++i) requests.push_back(pair("query " + std::to_string(i % 6)));
  EXPECT_EQ(texts_of(requests), 60U + 6U);
}

TEST_F(SharedQueryTest, ManyClientsAtOnce) {
  std::vector<Request> requests;
  for (size_t i = 0; i < 120; ++i) requests.push_back(pair("query " + std::to_string(i % 40)));
  EXPECT_EQ(texts_of(requests), 120U + 40U) << "those that pairs wait for are not forgotten";
}

TEST_F(SharedQueryTest, EachGroupCountsItsOwn) {
  const size_t tokens = tokens_of({pair("q", 1), pair("q", 1)});
  EXPECT_EQ(tokens_of({pair("q", 2), pair("q", 2)}), tokens) << "what others asked before does not show";
}

}  // namespace
}  // namespace wde
