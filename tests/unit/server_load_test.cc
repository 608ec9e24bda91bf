// What a request will take, and who is let in because of it.
#include <gtest/gtest.h>

#include "no_engine.h"
#include "server/serving/admission.h"
#include "server/serving/chunks.h"
#include "server/serving/demand.h"
#include "server/serving/group.h"
#include "wde/image.h"

namespace wde::server {
namespace {

TEST(ServerAdmission, OneThatIsLargerThanTheQueueLeavesRoomForOthers) {
  Admission admission({});
  const Demand huge{.tokens = 10'000'000, .seconds = 10'000, .sharing = {1, 1, 0}};
  auto first = admission.enter("a", huge);
  auto second = admission.enter("a", {.tokens = 100, .seconds = 0.1, .sharing = {2, 1, 0}});
  EXPECT_THROW((void)admission.enter("a", huge), ApiError);
  EXPECT_LT(admission.use().all.tokens, QueueLimits().tokens);
}

TEST(ServerAdmission, BoundsTheAnswers) {
  Admission admission({.answer_bytes = 1000});
  try {
    (void)admission.enter("a", {.answer_bytes = 1001});
    ADD_FAILURE();
  } catch (const ApiError& error) {
    EXPECT_EQ(error.fault, Fault::kTooLarge);  // also alone
  }
  auto ticket = admission.enter("a", {.answer_bytes = 700});  // of 875: the rest is for those who have less
  try {
    (void)admission.enter("a", {.answer_bytes = 176});
    ADD_FAILURE();
  } catch (const ApiError& error) {
    EXPECT_EQ(error.fault, Fault::kOverloaded);
  }
  EXPECT_EQ(admission.use().all.answer_bytes, 700U);
  ticket.reset();
  EXPECT_EQ(admission.use().all.answer_bytes, 0U);
}

Plan plan_of(const char* task, std::vector<std::string> texts, std::string prompt = "") {
  auto facts = std::make_shared<ModelFacts>();
  facts->name = "m";
  facts->info.max_length = 100;
  facts->info.dimensions = 10;
  Plan plan;
  plan.model = facts;
  plan.task = task;
  plan.shared.prompt = std::move(prompt);
  for (std::string& text : texts) {
    Request request;
    request.input = std::move(text);
    plan.requests.push_back(std::move(request));
  }
  return plan;
}

TEST(ServerDemand, CountsWhatStandsBeforeEachText) {
  const std::vector<std::string> texts(50, "12345678");
  EXPECT_EQ(demand_of(plan_of(task::kEmbed, texts), {}, 7, nullptr).tokens, 50U * 4);
  EXPECT_EQ(demand_of(plan_of(task::kEmbed, texts), {}, 7, nullptr).bytes,
            7U + 50 * 256);  // many short ones take memory
  EXPECT_EQ(demand_of(plan_of(task::kEmbed, texts, std::string(40, 'x')), {}, 7, nullptr).tokens, 50U * 14);
  EXPECT_EQ(demand_of(plan_of(task::kEmbed, texts, std::string(100'000, 'x')), {}, 7, nullptr).tokens, 50U * 100);
}

TEST(ServerDemand, AnswersTokenByTokenAreLarge) {
  const std::vector<std::string> texts(2048, std::string(1300, 'x'));
  const size_t vectors = demand_of(plan_of(task::kEmbed, texts), {}, 0, nullptr).answer_bytes;
  EXPECT_EQ(vectors, 2048U * (512 + 10 * 18));
  for (const char* task : {task::kTokenEmbed, task::kMultiVector, task::kAll}) {
    EXPECT_GE(demand_of(plan_of(task, texts), {}, 0, nullptr).answer_bytes, 2048U * 100 * 10 * 18) << task;
  }
  for (const char* task : {task::kSparse, task::kTokenize}) {
    EXPECT_GE(demand_of(plan_of(task, texts), {}, 0, nullptr).answer_bytes, 2048U * 100 * 18) << task;
  }
}

// Of n tokens n * n seconds.
class SquareEngine final : public test::NoEngine {
 public:
  double seconds(size_t tokens) const override { return static_cast<double>(tokens * tokens); }
};

TEST(ServerDemand, SecondsAreTheEngines) {
  const SquareEngine engine;
  Plan plan = plan_of(task::kEmbed, {"12345678", std::string(80, 'x'), std::string(4000, 'x')});
  plan.sharing = {7, 2, -1};
  plan.later_tokens = 230;
  const Demand demand = demand_of(plan, {}, 0, &engine);
  EXPECT_EQ(demand.seconds, 4 * 4 + 22 * 22 + 100 * 100 + 2 * 100 * 100 + 30 * 30);  // in pieces of the maximum length
  EXPECT_EQ(demand.sharing.flow, 7U);
  EXPECT_EQ(demand.sharing.weight, 2);
  EXPECT_EQ(demand.sharing.priority, -1);
  plan.average = true;
  plan.later_tokens = 0;
  EXPECT_EQ(demand_of(plan, {}, 0, &engine).seconds, 4 * 4 + 22 * 22 + 10 * 100 * 100 + 2 * 2);
}

TEST(ServerDemand, SecondsAreGuessedWithoutAnEngine) {
  Plan plan = plan_of(task::kEmbed, {"12345678"});
  auto facts = std::make_shared<ModelFacts>(*plan.model);
  facts->info.weight_bytes = 80'000'000;
  facts->info.workers = 2;
  plan.model = facts;
  EXPECT_DOUBLE_EQ(demand_of(plan, {}, 0, nullptr).seconds, 4 * 20e6 * 2 / (2 * 40e9));
  plan.task = task::kTokenize;
  EXPECT_DOUBLE_EQ(demand_of(plan, {}, 0, nullptr).seconds, 4e-6);
}

std::string png_head(uint32_t width, uint32_t height) {
  std::string out("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16);
  for (const uint32_t size : {width, height}) {
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(size >> shift & 0xFF);
  }
  return out;
}

TEST(ServerDemand, PixelsAreCountedBeforeTheyAreDecoded) {
  Plan plan = plan_of(task::kEmbed, {"a", "b"});
  for (Request& request : plan.requests) request.input = Image{png_head(8192, 8192)};
  EXPECT_NO_THROW((void)demand_of(plan, {.max_pixels = 2 * 8192 * 8192}, 0, nullptr));
  try {
    (void)demand_of(plan, {.max_pixels = 2 * 8192 * 8192 - 1}, 0, nullptr);
    ADD_FAILURE();
  } catch (const ApiError& error) {
    EXPECT_EQ(error.fault, Fault::kTooLarge);
  }
}

TEST(ImageSize, ReadsHeads) {
  const auto png = image_size(png_head(3, 70'000));
  ASSERT_TRUE(png);
  EXPECT_EQ(png->width, 3U);
  EXPECT_EQ(png->height, 70'000U);
  const std::string before("\xFF\xD8\xFF\xE0\x00\x04xy\xFF\xFF\xC4\x00\x03z", 14);
  const auto jpeg = image_size(before + std::string("\xFF\xC2\x00\x0B\x08\x01\x02\x03\x04", 9));
  ASSERT_TRUE(jpeg);
  EXPECT_EQ(jpeg->height, 0x102U);
  EXPECT_EQ(jpeg->width, 0x304U);
  EXPECT_FALSE(image_size(before));
  EXPECT_FALSE(image_size("GIF89a"));
  EXPECT_FALSE(image_size(png_head(1, 1).substr(0, 20)));
  EXPECT_FALSE(image_size(""));
}

TEST(ServerChunks, PartsAreCutOnceAndInOrder) {
  std::string text;
  while (text.size() < 1'000'000) text += "统一码";
  const size_t chinese = text.size();
  text += std::string(100'000, 'a') + " words and " + std::string(200'000, ' ') + "more words";
  Request request;
  request.input = text;
  const TextParts parts = split_texts({request});
  ASSERT_EQ(parts.parts, std::vector<size_t>{parts.requests.size()});
  EXPECT_LT(parts.requests.size(), 2 * text.size() / (32 << 10));
  std::string whole;
  for (const Request& part : parts.requests) {
    const std::string& own = std::get<std::string>(part.input);
    EXPECT_LE(own.size(), 32U << 10);
    EXPECT_NE(static_cast<unsigned char>(own[0]) & 0xC0, 0x80) << "inside a character";
    EXPECT_EQ(part.prompt.has_value(), !whole.empty());  // the first one has what texts share
    whole += own;
  }
  EXPECT_TRUE(whole == text);
  EXPECT_GT(chinese, 0U);
}

}  // namespace
}  // namespace wde::server
