// What the scheduler fair promises, held against simulations with the engine's rule of dispatch: bounds on waiting,
// shares, no starvation, no idle worker. Virtual time alone: each run is the same everywhere.
#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "bench/schedule/bound.h"
#include "bench/schedule/report.h"
#include "bench/schedule/simulator.h"

namespace wde::simulation {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr size_t kRequests = 10'000;
#else
constexpr size_t kRequests = 100'000;
#endif

const CostModel& cost() {
  static const CostModel model = small_model(400e9);
  return model;
}

Scenario scenario_of(const std::string& name, double load, size_t requests = kRequests) {
  Scenario scenario;
  scenario.cost = &cost();
  scenario.kinds = trace(name);
  scenario.load = load;
  scenario.requests = requests;
  return scenario;
}

ClientKind saturating(size_t in_flight, size_t texts, size_t tokens) {
  return {.name = "saturating",
          .arrivals = Arrivals::kSaturating,
          .in_flight = in_flight,
          .least_texts = texts,
          .most_texts = texts,
          .least_tokens = tokens,
          .most_tokens = tokens};
}

// Work begun for each kind of client, and the least part of all that one had in any `window`.
class Shares : public Watcher {
 public:
  Shares(size_t kinds, double window, double end) : window_(window), end_(end), slots_(kinds) {}
  void begun(const Text& text, double now) override {
    const auto slot = static_cast<size_t>(now / kSlot);
    for (std::vector<double>& one : slots_) one.resize(std::max(one.size(), slot + 1));
    slots_[text.kind][slot] += text.seconds;
  }
  // Least and most. The first second, when not all have come, and what is left at the end say nothing.
  std::pair<double, double> range(size_t kind) const {
    const auto length = static_cast<size_t>(window_ / kSlot);
    double least = 1, most = 0;
    for (size_t at = 10; at + length < static_cast<size_t>(end_ / kSlot); ++at) {
      double all = 0, own = 0;
      for (size_t k = 0; k < slots_.size(); ++k) {
        for (size_t i = at; i < at + length; ++i) {
          all += slots_[k].at(i);
          own += k == kind ? slots_[k].at(i) : 0;
        }
      }
      least = std::min(least, own / all);
      most = std::max(most, own / all);
    }
    return {least, most};
  }

 private:
  static constexpr double kSlot = 0.1;
  const double window_, end_;
  std::vector<std::vector<double>> slots_;
};

Shares shares_of(std::vector<ClientKind> kinds, size_t workers = 2) {
  Scenario scenario;
  scenario.cost = &cost();
  scenario.kinds = std::move(kinds);
  scenario.seconds = 40;
  scenario.server.workers = workers;
  Shares shares(scenario.kinds.size(), 5, scenario.seconds);
  simulate(scenario, scheduler_named("fair"), &shares);
  return shares;
}

TEST(FairShares, NoTextWaitsLongerThanItsBound) {
  for (const std::string& name : trace_names()) {
    for (const double load : {0.8, 1.1}) {
      const Scenario scenario = scenario_of(name, load, load > 1 ? kRequests / 5 : kRequests);
      BoundWatcher watcher(scenario);
      simulate(scenario, scheduler_named("fair"), &watcher);
      EXPECT_EQ(watcher.beyond(), 0u) << name << " at " << load << ": " << watcher.worst() << " of the bound";
      EXPECT_GE(watcher.texts(), scenario.requests);
    }
  }
}

// More than the workers can do comes on new connections, each of them with its first text, beside small requests of a
// client that has been served before.
TEST(FairShares, NewConnectionsKeepNobodyWaitingBeyondTheBound) {
  Scenario scenario;
  scenario.cost = &cost();
  scenario.kinds = {trace("connections")[0], saturating(2, 2, 250)};
  scenario.kinds[0].clients = 40;
  scenario.kinds[0].arrivals = Arrivals::kSaturating;
  scenario.seconds = 40;
  BoundWatcher watcher(scenario);
  simulate(scenario, scheduler_named("fair"), &watcher);
  EXPECT_EQ(watcher.beyond(), 0u) << watcher.worst() << " of the bound";
}

TEST(FairShares, TheBoundIsNotKeptByOtherOrders) {
  const Scenario scenario = scenario_of("mixed", 0.8, 100'000);
  for (const char* const name : {"fifo", "length_aware", "shortest_first"}) {
    BoundWatcher watcher(scenario);
    simulate(scenario, scheduler_named(name), &watcher);
    EXPECT_GT(watcher.beyond(), 0u) << name << " keeps it: the bound says nothing";
  }
}

TEST(FairShares, TheMeanWaitIsHalfOfFifosAtMost) {
  const Scenario scenario = scenario_of("mixed", 0.8);
  std::map<std::string, Figures> fair, fifo;
  for (const Summary& one : summarize(scenario.kinds, simulate(scenario, scheduler_named("fair"))))
    fair[one.kind] = one.wait;
  for (const Summary& one : summarize(scenario.kinds, simulate(scenario, scheduler_named("fifo"))))
    fifo[one.kind] = one.wait;
  EXPECT_GT(fair.at("all").mean, 0);
  EXPECT_LE(fair.at("all").mean, 0.5 * fifo.at("all").mean);
  EXPECT_LE(fair.at("query").p99, 0.050) << "two batches of 20 ms, and its own";
  EXPECT_LE(fair.at("rerank").mean, 0.5 * fifo.at("rerank").mean);
}

TEST(FairShares, TheSameRunGivesTheSameFigures) {
  const Scenario scenario = scenario_of("bursty", 0.8, 5'000);
  const auto first = simulate(scenario, scheduler_named("fair")), second = simulate(scenario, scheduler_named("fair"));
  ASSERT_EQ(first.size(), 5'000u);
  ASSERT_EQ(second.size(), first.size());
  for (size_t i = 0; i < first.size(); ++i) ASSERT_EQ(first[i].time, second[i].time) << i;
}

// One has ten times the requests in flight.
TEST(FairShares, SaturatingClientsGetTheirWeights) {
  for (const double weight : {1.0, 3.0}) {
    ClientKind few = saturating(4, 8, 120), many = saturating(40, 8, 120);
    for (ClientKind* const heavy : {&few, &many}) {
      few.weight = many.weight = 1;
      heavy->weight = weight;
      const auto [least, most] = shares_of({few, many}).range(0);
      const double expected = few.weight / (few.weight + many.weight);
      EXPECT_GE(least, 0.9 * expected) << "weights " << few.weight << " and " << many.weight;
      EXPECT_LE(most, 1.1 * expected) << "weights " << few.weight << " and " << many.weight;
    }
  }
}

TEST(FairShares, TextsOfOtherLengthsCountByTheirCost) {
  const auto [least, most] = shares_of({saturating(4, 4, 30), saturating(40, 16, 250)}).range(0);
  EXPECT_GE(least, 0.45);
  EXPECT_LE(most, 0.55);
}

TEST(FairShares, LaterPrioritiesHaveTheirShareAndNotMuchMore) {
  ClientKind later = saturating(4, 64, 250);
  later.priority = 1;
  const auto [least, most] = shares_of({saturating(16, 8, 120), later}).range(1);
  EXPECT_GE(least, 0.05 * 0.9);
  EXPECT_LE(most, 0.05 * 1.3);
}

// Each of several, in equal parts: none of them is served at a share of a share.
TEST(FairShares, SeveralLaterPrioritiesDivideTheShare) {
  ClientKind second = saturating(4, 64, 100), third = saturating(4, 64, 100);
  second.priority = 1;
  third.priority = 50;
  const Shares shares = shares_of({saturating(16, 8, 120), second, third});
  EXPECT_GE(shares.range(1).first, 0.025 * 0.8);
  EXPECT_GE(shares.range(2).first, 0.025 * 0.8);
}

// Whenever a worker is free exactly one text of the first priority waits, and none after it.
TEST(FairShares, AnEarlierPriorityThatComesOneByOneLeavesTheShareToo) {
  ClientKind later = saturating(4, 64, 100);
  later.priority = 1;
  const auto [least, most] = shares_of({saturating(2, 1, 250), later}, 1).range(1);
  EXPECT_GE(least, 0.05 * 0.9);
}

TEST(FairShares, ALaterPriorityAloneHasEverything) {
  ClientKind later = saturating(4, 64, 250);
  later.priority = 1;
  Scenario scenario;
  scenario.cost = &cost();
  scenario.kinds = {later};
  scenario.seconds = 20;
  class Work : public Watcher {
   public:
    void begun(const Text& text, double now) override { seconds += now < 20 ? text.seconds : 0; }
    double seconds = 0;
  } work;
  simulate(scenario, scheduler_named("fair"), &work);
  EXPECT_GE(work.seconds, 0.95 * 20 * static_cast<double>(scenario.server.workers)) << "the rest is what batches cost";
}

// More than the workers can do comes on new connections, each of them with its first text.
TEST(FairShares, NewConnectionsDoNotStarveTheOthers) {
  std::vector<ClientKind> kinds = {trace("connections")[0], saturating(2, 64, 250)};
  kinds[0].clients = 40;
  kinds[0].arrivals = Arrivals::kSaturating;
  const auto [least, most] = shares_of(kinds).range(1);
  EXPECT_GE(least, 1.0 / 42) << "its share among 41 flows that wait";
}

TEST(FairShares, NoWorkerIdlesWhileATextWaits) {
  class Idle : public Watcher {
   public:
    void advanced(double now, size_t waiting, size_t busy) override {
      if (waiting == 0) return;
      ++moments;
      EXPECT_EQ(busy, 2u) << waiting << " wait at " << now;
    }
    size_t moments = 0;
  };
  for (const char* const name : {"mixed", "priorities", "connections"}) {
    const Scenario scenario = scenario_of(name, 0.7, 5'000);
    Idle idle;
    simulate(scenario, scheduler_named("fair"), &idle);
    EXPECT_GT(idle.moments, 100u) << name;
  }
}

}  // namespace
}  // namespace wde::simulation
