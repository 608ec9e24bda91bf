// Who is let in, and how much of it: admission and keys; groups of texts.
#include <gtest/gtest.h>

#include <unistd.h>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "server/serving/admission.h"
#include "server/serving/api_keys.h"
#include "server/serving/group.h"

namespace wde::server {
namespace {

TEST(ServerAdmission, AllOrNothing) {
  Admission admission({.requests = 3, .tokens = 100, .bytes = 1000});
  auto huge = admission.enter("a", {.tokens = 5000, .bytes = 10});  // alone, it may be larger than the queue
  EXPECT_THROW((void)admission.enter("a", {.tokens = 26, .bytes = 1}), ApiError);
  huge.reset();
  auto a = admission.enter("a", {.tokens = 60, .bytes = 10});
  EXPECT_THROW((void)admission.enter("a", {.tokens = 50, .bytes = 10}), ApiError);
  EXPECT_THROW((void)admission.enter("a", {.tokens = 1, .bytes = 995}), ApiError);
  auto b = admission.enter("b", {.tokens = 27, .bytes = 20});  // the limits are those of all models
  EXPECT_EQ(admission.use().by_model.at("a").tokens, 60U);
  EXPECT_EQ(admission.use().by_model.at("b").tokens, 27U);
  EXPECT_EQ(admission.use().by_model.at("b").bytes, 20U);
  auto c = admission.enter("a", {.tokens = 0, .bytes = 0});
  try {
    (void)admission.enter("a", {.tokens = 0, .bytes = 0});
    ADD_FAILURE();
  } catch (const ApiError& error) {
    EXPECT_EQ(error.fault, Fault::kOverloaded);
    EXPECT_GE(error.retry_after, 1);
    EXPECT_LE(error.retry_after, 60);
  }
  a.reset();
  EXPECT_EQ(admission.use().by_model.at("a").requests, 1U);
  b.reset();
  c.reset();
  EXPECT_EQ(admission.use().by_model.at("a").requests, 0U);
  EXPECT_EQ(admission.use().by_model.at("b").tokens, 0U);
  EXPECT_EQ(admission.use().all.requests, 0U);
  EXPECT_EQ(admission.use().all.tokens, 0U);
  EXPECT_EQ(admission.use().all.bytes, 0U);
}

HttpRequest with_header(const char* name, const char* value) {
  HttpRequest request;
  request.headers.emplace_back(name, value);
  return request;
}

TEST(ServerKeys, FilesAndHeaders) {
  const std::string path =
      (std::filesystem::temp_directory_path() / ("wde-keys-" + std::to_string(::getpid()))).string();
  std::ofstream(path) << "# nothing\n\n  one  \ntwo\r\n";
  ApiKeys keys;
  EXPECT_TRUE(keys.allow(HttpRequest()));
  keys.add_file(path, "--api-key-file");
  EXPECT_FALSE(keys.allow(HttpRequest()));
  EXPECT_TRUE(keys.allow(with_header("authorization", "Bearer one")));
  EXPECT_TRUE(keys.allow(with_header("authorization", "bearer two")));
  EXPECT_TRUE(keys.allow(with_header("authorization", "two")));
  EXPECT_TRUE(keys.allow(with_header("x-api-key", "one")));
  for (const char* bad : {"", "on", "onee", "oneone", "# nothing", "Bearer", "Bearer ", "Basic one"}) {
    EXPECT_FALSE(keys.allow(with_header("authorization", bad))) << bad;
  }
  std::ofstream(path) << "# only comments\n";
  EXPECT_THROW(keys.add_file(path, "--api-key-file"), UsageError);
  std::filesystem::remove(path);
  EXPECT_THROW(keys.add_file(path, "--api-key-file"), UsageError);
}

// Holds requests until it is told to answer.
class HeldEngine final : public Engine {
 public:
  using Engine::submit;
  RequestId submit(Request request, Callback done) override {
    held.emplace_back(std::move(request), std::move(done));
    return held.size();
  }
  bool cancel(RequestId id) override {
    ++cancelled;
    answer(id - 1, Error{ErrorCode::kCancelled, "cancelled"});
    return true;
  }
  void shutdown() override {}
  const EngineInfo& info() const override { return info_; }
  EngineStatistics statistics() const override { return {}; }
  double seconds(size_t tokens) const override { return 1e-6 * static_cast<double>(tokens); }
  Result<std::string> decode(const std::vector<int32_t>&, bool) const override { return std::string(); }

  void answer(size_t index, Result<Response> result) {
    auto done = std::exchange(held[index].second, nullptr);
    if (done) done(std::move(result));
  }
  void answer_in_kind(size_t index) {
    Response response;
    response.tokens = std::get<std::string>(held[index].first.input).size();
    answer(index, std::move(response));
  }

  std::vector<std::pair<Request, Callback>> held;
  int cancelled = 0;

 private:
  EngineInfo info_;
};

std::vector<Request> texts(size_t count, size_t bytes) {
  std::vector<Request> requests(count);
  for (size_t i = 0; i < count; ++i) requests[i].input = std::string(bytes + i, 'x');
  return requests;
}

TEST(ServerGroup, AnswersInOrderWhateverComesFirst) {
  auto engine = std::make_shared<HeldEngine>();
  std::vector<Response> found;
  auto group = std::make_shared<Group>(engine, texts(3, 1), Shared{},
                                       [&](std::vector<Response> responses, std::optional<Error> e, size_t) {
                                         EXPECT_FALSE(e);
                                         found = std::move(responses);
                                       });
  group->start();
  ASSERT_EQ(engine->held.size(), 3U);
  for (size_t i : {2, 0, 1}) engine->answer_in_kind(i);
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[2].tokens, 3U);
}

TEST(ServerGroup, AllTextsAreSubmittedAtOnce) {
  auto engine = std::make_shared<HeldEngine>();
  bool done = false;
  auto group = std::make_shared<Group>(engine, texts(2000, 1 << 10), Shared{"prompt", {}, {}},
                                       [&](auto responses, auto, size_t) { done = responses.size() == 2000; });
  group->start();
  EXPECT_EQ(engine->held.size(), 2000U);
  for (size_t i = 0; i < 2000; ++i) engine->answer_in_kind(i);
  EXPECT_TRUE(done);
}

TEST(ServerGroup, WhatHasBegunIsFinished) {
  auto engine = std::make_shared<HeldEngine>();
  std::vector<Request> requests = texts(4, 1);
  for (Request& request : requests) request.deadline = Clock::now();
  auto group = std::make_shared<Group>(engine, std::move(requests), Shared{std::string(6 << 20, 'x'), {}, {}},
                                       [](auto, auto, size_t) {});
  group->start();
  ASSERT_EQ(engine->held.size(), 2U);
  EXPECT_TRUE(engine->held[0].first.deadline);
  EXPECT_TRUE(engine->held[1].first.deadline);
  engine->answer(0, Response());
  engine->answer(1, Response());
  ASSERT_EQ(engine->held.size(), 4U);
  EXPECT_FALSE(engine->held[2].first.deadline);
  EXPECT_FALSE(engine->held[3].first.deadline);
  for (size_t i = 2; i < 4; ++i) engine->answer(i, Response());
}

TEST(ServerGroup, WhatIsSharedIsPutIntoEachInItsTurn) {
  auto engine = std::make_shared<HeldEngine>();
  std::vector<Request> requests = texts(3, 1);
  requests[1].prompt = "own";
  requests[2].input = TokenIds{{1, 2}};
  TextPair pair;
  pair.document = "d";
  requests.emplace_back().input = pair;
  bool done = false;
  auto group = std::make_shared<Group>(engine, std::move(requests), Shared{"prompt", {}, "query"},
                                       [&](auto, auto, size_t) { done = true; });
  group->start();
  ASSERT_EQ(engine->held.size(), 4U);
  EXPECT_EQ(engine->held[0].first.prompt, "prompt");
  EXPECT_EQ(engine->held[1].first.prompt, "own");
  EXPECT_EQ(engine->held[2].first.prompt, std::nullopt);
  EXPECT_EQ(std::get<TextPair>(engine->held[3].first.input).query, "query");
  for (size_t i = 0; i < 4; ++i) engine->answer(i, Response());
  EXPECT_TRUE(done);

  // A long one is not in the engine a thousand times.
  auto long_ones = std::make_shared<Group>(engine, texts(100, 1), Shared{std::string(4 << 20, 'x'), {}, {}},
                                           [](auto, auto, size_t) {});
  long_ones->start();
  EXPECT_EQ(engine->held.size(), 4U + 4);
  for (size_t i = 4; i < 104; ++i) engine->answer(i, Response());
}

TEST(ServerGroup, AWatchMayStopIt) {
  auto engine = std::make_shared<HeldEngine>();
  std::optional<Error> error;
  auto group = std::make_shared<Group>(
      engine, texts(3, 1), Shared{}, [&](auto, std::optional<Error> e, size_t) { error = std::move(e); },
      [](size_t index, Response&) { return index < 1; });
  group->start();
  engine->answer(0, Response());
  EXPECT_FALSE(error);
  engine->answer(1, Response());
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, ErrorCode::kCancelled);
  EXPECT_EQ(engine->cancelled, 1);
}

TEST(ServerGroup, TheFirstErrorEndsIt) {
  auto engine = std::make_shared<HeldEngine>();
  int calls = 0;
  std::optional<Error> error;
  auto group = std::make_shared<Group>(engine, texts(4, 1), Shared{}, [&](auto, std::optional<Error> e, size_t) {
    ++calls;
    error = std::move(e);
  });
  group->start();
  engine->answer(1, Error{ErrorCode::kInvalidInput, "bad"});
  EXPECT_EQ(engine->cancelled, 3);
  EXPECT_EQ(calls, 1);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->message, "bad");
}

TEST(ServerGroup, CancelBeforeAndDuring) {
  auto engine = std::make_shared<HeldEngine>();
  int calls = 0;
  auto group = std::make_shared<Group>(engine, texts(2, 1), Shared{}, [&](auto, std::optional<Error> e, size_t) {
    ++calls;
    EXPECT_TRUE(e && e->code == ErrorCode::kCancelled);
  });
  group->start();
  group->cancel();
  group->cancel();
  EXPECT_EQ(calls, 1);
  auto none = std::make_shared<Group>(engine, std::vector<Request>(), Shared{}, [&](auto, auto e, size_t) {
    ++calls;
    EXPECT_FALSE(e);
  });
  none->start();
  EXPECT_EQ(calls, 2);
}

}  // namespace
}  // namespace wde::server
