// What a request will take: the pace of work, the demand, and who is let in because of it.
#include <gtest/gtest.h>

#include <chrono>

#include "server/serving/admission.h"
#include "server/serving/chunks.h"
#include "server/serving/demand.h"
#include "server/serving/group.h"
#include "server/serving/pace.h"
#include "wde/image.h"

namespace wde::server {
namespace {

using namespace std::chrono_literals;

TEST(ServerPace, LearnsWhatTokensCost) {
  Pace pace;
  Pace::Time now;
  pace.enter("a", 10'000, 0.01, now);
  EXPECT_DOUBLE_EQ(pace.seconds("a", 10'000, 0.01), 100);
  EXPECT_FALSE(pace.measured("a"));
  pace.done("a", 500, now += 500ms);  // too soon to say
  EXPECT_FALSE(pace.measured("a"));
  pace.done("a", 2000, now += 500ms);
  ASSERT_TRUE(pace.measured("a"));
  EXPECT_NEAR(pace.seconds("a", 2500, 7), 1, 1e-9);
  pace.done("a", 100, now += 2s);  // something else held them up
  EXPECT_NEAR(pace.seconds("a", 2500, 7), 1, 1e-9);
  pace.done("a", 2400, now);  // half as fast: counts three tenths
  EXPECT_NEAR(pace.seconds("a", 2500, 7), 1.3, 1e-9);
  EXPECT_NEAR(pace.least_seconds("a", 2500, 7), 1, 1e-9);
  pace.leave(5000, now);
  EXPECT_EQ(pace.seconds("b", 3, 2), 6);
}

TEST(ServerPace, DoesNotMeasureWorkersThatWait) {
  Pace pace;
  Pace::Time now;
  for (int i = 0; i < 100; ++i) {  // one short text after the other
    pace.enter("a", 10, 0.001, now);
    pace.done("a", 10, now += 1s);
  }
  pace.enter("a", 5000, 0.001, now);  // and one that is given up
  pace.leave(5000, now += 100ms);
  EXPECT_FALSE(pace.measured("a"));
}

TEST(ServerPace, KindsShareTheProcessor) {
  Pace pace;
  Pace::Time now;
  pace.enter("a", 10'000, 0.001, now);
  pace.enter("b", 10'000, 0.002, now);
  pace.done("a", 2000, now);
  pace.done("b", 500, now += 6s);  // 3 s were expected
  EXPECT_NEAR(pace.seconds("b", 1000, 0), 4, 1e-9);
  pace.done("a", 3000, now += 6s);
  EXPECT_NEAR(pace.seconds("a", 1000, 0), 2, 1e-9);
}

TEST(ServerAdmission, RefusesWhatCannotBeDoneInTime) {
  Admission admission({});
  const auto demand = [](size_t tokens, double seconds) {
    return Demand{
        .tokens = tokens,
        .kind = "a",
        .guess = 0.001,
        .deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds))};
  };
  auto first = admission.enter("a", demand(30'000, 20));  // alone: nobody knows yet whether 30 s are right
  try {
    (void)admission.enter("a", demand(20'000, 60));
    ADD_FAILURE();
  } catch (const ApiError& error) {
    EXPECT_EQ(error.fault, Fault::kOverloaded);
    EXPECT_EQ(error.retry_after, 9);  // 50 s and a little, and 42 that may be used
  }
  auto patient = admission.enter("a", demand(1000, 200));
  first.reset();
  auto second = admission.enter("a", demand(20'000, 60));
  auto third = admission.enter("a", demand(20'000, 60));  // 41 s of the 42 that may be spoken for
  EXPECT_THROW((void)admission.enter("a", demand(2000, 60)), ApiError);
  EXPECT_THROW((void)admission.enter("a", demand(10, 20)), ApiError);
  Demand unhurried = demand(100'000, 1);
  unhurried.deadline.reset();
  auto fourth = admission.enter("a", unhurried);
}

TEST(ServerAdmission, OneThatIsHopelessLeavesRoomForOthers) {
  Admission admission({});
  const Demand hopeless{.tokens = 10'000'000, .kind = "a", .guess = 0.001, .deadline = Clock::now() + 60s};
  auto first = admission.enter("a", hopeless);
  const Demand small{.tokens = 100, .kind = "a", .guess = 0.001, .deadline = Clock::now() + 60s};
  auto second = admission.enter("a", small);  // 33 s: no more of it than is in the engine at a time is before this one
  EXPECT_THROW((void)admission.enter("a", hopeless), ApiError);
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
  auto ticket = admission.enter("a", {.answer_bytes = 700});
  try {
    (void)admission.enter("a", {.answer_bytes = 301});
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
  EXPECT_EQ(demand_of(plan_of(task::kEmbed, texts), {}, 7).tokens, 50U * 4);
  EXPECT_EQ(demand_of(plan_of(task::kEmbed, texts), {}, 7).bytes, 7U);
  EXPECT_EQ(demand_of(plan_of(task::kEmbed, texts, std::string(40, 'x')), {}, 7).tokens, 50U * 14);
  EXPECT_EQ(demand_of(plan_of(task::kEmbed, texts, std::string(100'000, 'x')), {}, 7).tokens, 50U * 100);
}

TEST(ServerDemand, AnswersTokenByTokenAreLarge) {
  const std::vector<std::string> texts(2048, std::string(1300, 'x'));
  const size_t vectors = demand_of(plan_of(task::kEmbed, texts), {}, 0).answer_bytes;
  EXPECT_EQ(vectors, 2048U * (512 + 10 * 18));
  for (const char* task : {task::kTokenEmbed, task::kMultiVector, task::kAll}) {
    EXPECT_GE(demand_of(plan_of(task, texts), {}, 0).answer_bytes, 2048U * 100 * 10 * 18) << task;
  }
  for (const char* task : {task::kSparse, task::kTokenize}) {
    EXPECT_GE(demand_of(plan_of(task, texts), {}, 0).answer_bytes, 2048U * 100 * 18) << task;
  }
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
  EXPECT_NO_THROW((void)demand_of(plan, {.max_pixels = 2 * 8192 * 8192}, 0));
  try {
    (void)demand_of(plan, {.max_pixels = 2 * 8192 * 8192 - 1}, 0);
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
