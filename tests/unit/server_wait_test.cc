// How long a request would take beside what waits, and what of the queue is kept for whom.
#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "server/serving/admission.h"
#include "server/serving/wait.h"

namespace wde::server {
namespace {

using namespace std::chrono_literals;

constexpr double kShare = 0.05;

Work work(double seconds, uint64_t flow, double weight = 1, int priority = 0) {
  return {seconds, {flow, weight, priority}};
}

TEST(ServerWait, OtherFlowsTakeNoMoreThanTheirShares) {
  const Wait wait = wait_of(work(1, 1), std::vector{work(10, 2), work(10, 3, 2), work(0.5, 4)}, kShare);
  EXPECT_DOUBLE_EQ(wait.own, 1);
  EXPECT_DOUBLE_EQ(wait.of_others, 1 + 2 + 0.5);
  EXPECT_DOUBLE_EQ(wait.total(), 4.5);
  // However heavy, however much of it waits, and in however many requests.
  EXPECT_DOUBLE_EQ(wait_of(work(1, 1, 4), std::vector{work(30, 2), work(30, 2), work(1000, 2)}, kShare).total(), 1.25);
  EXPECT_DOUBLE_EQ(wait_of(work(1, 1), std::vector{work(0.1, 2), work(0.2, 2)}, kShare).total(), 1.3);
  EXPECT_DOUBLE_EQ(wait_of(work(1, 1), {}, kShare).total(), 1);
}

TEST(ServerWait, RequestsOfAFlowShareWhatItGets) {
  const Wait wait = wait_of(work(1, 1), std::vector{work(0.25, 1), work(100, 1), work(10, 2)}, kShare);
  EXPECT_DOUBLE_EQ(wait.of_flow, 1.25);
  EXPECT_DOUBLE_EQ(wait.of_others, 2.25);  // as much as the whole flow gets meanwhile
  EXPECT_DOUBLE_EQ(wait.total(), 4.5);
}

TEST(ServerWait, PrioritiesAreServedInOrderButForTheBulksShare) {
  const std::vector<Work> waiting{work(5, 2, 1, -1), work(3, 1, 1, -7), work(100, 3, 1, 4), work(10, 4)};
  const Wait wait = wait_of(work(1, 1), waiting, kShare);
  EXPECT_DOUBLE_EQ(wait.of_earlier, 8);
  EXPECT_DOUBLE_EQ(wait.of_others, 1);
  EXPECT_NEAR(wait.of_later, 2 * 0.05 / 0.95, 1e-12);
  EXPECT_DOUBLE_EQ(wait_of(work(1, 1), std::vector{work(0.01, 3, 1, 4)}, kShare).of_later, 0.01);
  EXPECT_DOUBLE_EQ(wait_of(work(1, 1), std::vector{work(100, 3, 1, 4)}, 0.0).of_later, 0);
}

TEST(ServerWait, OtherSchedulersServeWhatCameBefore) {
  const std::vector<Work> waiting{work(5, 2, 1, -1), work(3, 1), work(100, 3, 1, 4)};
  const Wait wait = wait_of(work(1, 1), waiting, std::nullopt);
  EXPECT_DOUBLE_EQ(wait.of_arrivals, 108);
  EXPECT_DOUBLE_EQ(wait.total(), 109);
}

TEST(ServerWait, TellsWhatItIsMadeOf) {
  const Wait wait = wait_of(work(0.8, 1), std::vector{work(1.25, 2), work(100, 1), work(7, 5, 1, 3)}, 0.0);
  EXPECT_EQ(wait.parts(), "its own work 0.8 s, other requests of this caller 0.8 s, other callers 1.2 s");
}

Demand demand(double seconds, uint64_t flow, std::optional<double> deadline = {}) {
  Demand out{.seconds = seconds, .measured = true, .sharing = {flow, 1, 0}, .bulk_share = kShare};
  if (deadline) {
    out.deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(*deadline));
  }
  return out;
}

ApiError refusal(Admission& admission, const Demand& demand) {
  try {
    (void)admission.enter("a", demand);
  } catch (const ApiError& error) {
    return error;
  }
  ADD_FAILURE() << "it was let in";
  return {Fault::kInternal, ""};
}

TEST(ServerAdmission, AQueryBesideBulkIsInTime) {
  Admission admission({});
  auto bulk = admission.enter("a", demand(1000, 1));
  auto query = admission.enter("a", demand(0.01, 2, 1));
  Demand in_order = demand(0.01, 2, 1);
  in_order.bulk_share.reset();
  const ApiError error = refusal(admission, in_order);
  EXPECT_EQ(error.fault, Fault::kOverloaded);
  EXPECT_EQ(error.retry_after, 60);
}

TEST(ServerAdmission, RefusesWhatCannotBeDoneInTime) {
  Admission admission({});
  auto first = admission.enter("a", demand(30, 1));
  const ApiError error = refusal(admission, demand(20, 2, 30));
  EXPECT_EQ(error.fault, Fault::kOverloaded);
  EXPECT_EQ(error.retry_after, 11);  // 40 s and 30, less what this test took
  const std::string message = error.what();
  for (const char* part : {"with 1 other request in the queue this would take about 40 s", "its own work 20 s",
                           "other callers 20 s", "X-Request-Timeout-Ms", "--request-timeout", "is in 30 s"}) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  }
  first->done(25);
  auto second = admission.enter("a", demand(20, 2, 30));
  EXPECT_EQ(refusal(admission, demand(20, 3, 30)).fault, Fault::kOverloaded);
  first.reset();
  second.reset();
  auto third = admission.enter("a", demand(20, 3, 30));
  auto unhurried = admission.enter("a", demand(1e6, 4));
}

TEST(ServerAdmission, WhatTakesTooLongAloneIsTooLarge) {
  Admission admission({});
  const ApiError error = refusal(admission, demand(100, 1, 60));
  EXPECT_EQ(error.fault, Fault::kTooLarge);
  const std::string message = error.what();
  for (const char* part : {"100 s even alone", "X-Request-Timeout-Ms", "--request-timeout", "is in 60 s"}) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  }
  // Estimates are not exact, and nobody knows yet how good a guess is.
  auto near = admission.enter("a", demand(80, 1, 60));
  near.reset();
  Demand guessed = demand(1000, 1, 60);
  guessed.measured = false;
  auto alone = admission.enter("a", guessed);
}

TEST(ServerAdmission, TellsWorkByPriority) {
  Admission admission({});
  auto early = admission.enter("a", {.seconds = 1, .sharing = {1, 1, -3}});
  auto normal = admission.enter("a", {.seconds = 2, .sharing = {1, 1, 0}});
  auto late = admission.enter("a", {.seconds = 4, .sharing = {1, 1, 9}});
  auto other = admission.enter("b", {.seconds = 8, .sharing = {1, 1, 9}});
  normal->done(0.5);
  late->done(5);
  using Seconds = std::array<double, 3>;
  EXPECT_EQ(admission.use().by_model.at("a").seconds, (Seconds{1, 1.5, 0}));
  EXPECT_EQ(admission.use().by_model.at("b").seconds, (Seconds{0, 0, 8}));
  early.reset();
  normal.reset();
  late.reset();
  other.reset();
  EXPECT_EQ(admission.use().by_model.at("a").seconds, Seconds{});
  EXPECT_EQ(admission.use().by_model.at("b").seconds, Seconds{});
}

// Of each limit the last eighth is for those who have a sixteenth at most.
TEST(ServerAdmission, BulkLeavesRoomForOthers) {
  struct Case {
    const char* name;
    QueueLimits limits;
    size_t Demand::*amount;
  };
  for (const Case& c :
       {Case{"tokens", {.tokens = 1600}, &Demand::tokens}, Case{"bytes", {.bytes = 1600}, &Demand::bytes},
        Case{"answer_bytes", {.answer_bytes = 1600}, &Demand::answer_bytes}}) {
    SCOPED_TRACE(c.name);
    Admission admission(c.limits);
    const auto of = [&](uint64_t flow, size_t amount, int priority = 0) {
      Demand out{.sharing = {flow, 1, priority}};
      out.*c.amount = amount;
      return out;
    };
    std::vector<std::unique_ptr<Admission::Ticket>> in;
    for (int i = 0; i < 10; ++i) in.push_back(admission.enter("a", of(1, 140)));
    EXPECT_EQ(refusal(admission, of(1, 1)).fault, Fault::kOverloaded);
    EXPECT_EQ(refusal(admission, of(2, 101)).fault, Fault::kOverloaded);
    in.push_back(admission.enter("a", of(2, 100)));
    EXPECT_EQ(refusal(admission, of(2, 1)).fault, Fault::kOverloaded);
    in.push_back(admission.enter("a", of(1, 60, -1)));  // its queries are not its bulk
    in.push_back(admission.enter("a", of(3, 40)));
    EXPECT_EQ(refusal(admission, of(4, 1)).fault, Fault::kOverloaded);
  }
}

TEST(ServerAdmission, BulkRequestsLeaveRoomForOthers) {
  Admission admission({.requests = 16});
  std::vector<std::unique_ptr<Admission::Ticket>> in;
  for (int i = 0; i < 14; ++i) in.push_back(admission.enter("a", {.sharing = {1, 1, 0}}));
  EXPECT_EQ(refusal(admission, {.sharing = {1, 1, 0}}).fault, Fault::kOverloaded);
  in.push_back(admission.enter("a", {.sharing = {2, 1, 0}}));
  EXPECT_EQ(refusal(admission, {.sharing = {2, 1, 0}}).fault, Fault::kOverloaded);
  in.push_back(admission.enter("a", {.sharing = {3, 1, 0}}));
  EXPECT_EQ(refusal(admission, {.sharing = {4, 1, 0}}).fault, Fault::kOverloaded);
  in.pop_back();
  in.push_back(admission.enter("a", {.sharing = {4, 1, 0}}));
}

}  // namespace
}  // namespace wde::server
