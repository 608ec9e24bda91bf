#include "simulator.h"

#include <algorithm>
#include <deque>
#include <queue>

#include "schedule/dispatch.h"

namespace wde::simulation {
namespace {

class Simulation {
 public:
  Simulation(const Scenario& scenario, const MakeScheduler& make, Watcher* watcher)
      : scenario_(scenario), server_(scenario.server), watcher_(watcher != nullptr ? watcher : &no_watcher_) {
    SchedulerConfig config;
    config.cost = scenario.cost;
    config.batch_seconds = server_.batch_seconds;
    config.bulk_share = server_.bulk_share;
    scheduler_ = make(config);
    double work = 0;
    for (const ClientKind& kind : scenario.kinds) work += kind.arrivals == Arrivals::kSaturating ? 0 : kind.work;
    for (size_t k = 0; k < scenario.kinds.size(); ++k) {
      const ClientKind& kind = scenario.kinds[k];
      double interval = 0;
      if (kind.arrivals != Arrivals::kSaturating) {
        const double requests_a_second = scenario.load * static_cast<double>(server_.workers) * kind.work / work /
                                         mean_work(kind, *scenario.cost, server_.batch_tokens);
        interval = static_cast<double>(kind.clients) / requests_a_second;
      }
      for (size_t i = 0; i < kind.clients; ++i) {
        clients_.push_back({k, interval, Random(scenario.seed * 1'000'003 + clients_.size())});
      }
    }
    next_flow_ = clients_.size();
  }

  std::vector<Answered> go() {
    for (size_t i = 0; i < clients_.size(); ++i) {
      const ClientKind& kind = scenario_.kinds[clients_[i].kind];
      if (kind.arrivals != Arrivals::kSaturating) {
        plan_arrival(i);
        continue;
      }
      for (size_t k = 0; k < kind.in_flight; ++k) arrive(i);
    }
    dispatch();
    while (!events_.empty()) {
      const Event event = events_.top();
      events_.pop();
      watcher_->advanced(now_, scheduler_->waiting(), busy_);
      now_ = event.time;
      if (event.batch != kNone) {
        finish(event.batch);
      } else if (open_) {
        ++arrived_;
        arrive(event.client);
        open_ = is_open();
        if (open_) plan_arrival(event.client);
      }
      dispatch();
    }
    return std::move(answered_);
  }

 private:
  static constexpr size_t kNone = SIZE_MAX;

  struct Client {
    size_t kind = 0;
    double interval = 0;  // seconds between requests, in the mean
    Random random;
    double burst = 0;  // until then, in the time that only passes in bursts
    double pause = 0;  // the pauses until now
  };
  struct Open {  // a request
    size_t client = 0;
    double arrival = 0, alone = 0;
    size_t texts = 0;  // that are not computed yet
  };
  struct Event {
    double time = 0;
    uint64_t number = 0;  // of those at the same time, the first that was planned
    size_t client = 0;
    size_t batch = kNone;
    bool operator>(const Event& other) const { return time != other.time ? time > other.time : number > other.number; }
  };
  struct Place {
    Text text;
    size_t open = 0;
  };

  bool is_open() const { return scenario_.seconds > 0 ? now_ < scenario_.seconds : arrived_ < scenario_.requests; }

  void plan(double time, size_t client, size_t batch) { events_.push({time, next_event_++, client, batch}); }

  void plan_arrival(size_t number) {
    Client& client = clients_[number];
    if (scenario_.kinds[client.kind].arrivals == Arrivals::kPoisson) {
      return plan(now_ + client.random.exponential(client.interval), number, kNone);
    }
    // Bursts of some 16 requests.
    constexpr double kDense = 4, kRequests = 16;
    const double dense = client.interval / kDense;
    const double length = kRequests * dense;
    double active = now_ - client.pause + client.random.exponential(dense);
    while (active > client.burst) {
      client.burst += client.random.exponential(length);
      client.pause += client.random.exponential(length * (kDense - 1));
    }
    plan(active + client.pause, number, kNone);
  }

  size_t free_slot(auto& slots, std::vector<size_t>& free) {
    if (free.empty()) {
      slots.emplace_back();
      return slots.size() - 1;
    }
    const size_t slot = free.back();
    free.pop_back();
    return slot;
  }

  void arrive(size_t number) {
    Client& client = clients_[number];
    const ClientKind& kind = scenario_.kinds[client.kind];
    const size_t opened = free_slot(open_requests_, free_requests_);
    const size_t texts = client.random.between_in_scale(kind.least_texts, kind.most_texts);
    Text text{.flow = kind.reconnects ? next_flow_++ : number,
              .request = next_request_++,
              .kind = client.kind,
              .client = number,
              .priority = kind.priority,
              .weight = kind.weight,
              .arrival = now_};
    lengths_.clear();
    double longest = 0, sum = 0;
    size_t tokens = 0;
    for (size_t i = 0; i < texts; ++i) {
      lengths_.push_back(client.random.between(kind.least_tokens, kind.most_tokens));
      const double seconds = scenario_.cost->seconds(lengths_.back());
      longest = std::max(longest, seconds);
      sum += seconds;
      tokens += lengths_.back();
    }
    const double fixed = scenario_.cost->fixed_seconds();
    text.request_work = sum + static_cast<double>(texts) * fixed;
    const size_t batches = (tokens + server_.batch_tokens - 1) / server_.batch_tokens;
    const double all = sum + static_cast<double>(batches) * fixed;
    const double alone = std::max(fixed + longest, all / static_cast<double>(server_.workers));
    open_requests_[opened] = {number, now_, alone, texts};
    for (const size_t length : lengths_) {
      const size_t slot = free_slot(places_, free_places_);
      text.id = slot;
      text.tokens = length;
      text.seconds = scenario_.cost->seconds(length);
      places_[slot] = {text, opened};
      Sequence sequence;
      sequence.id = slot;
      sequence.ids.resize(length);
      sequence.options.sharing = {text.flow, text.weight, text.priority};
      sequence.options.group = text.request;
      scheduler_->add(std::move(sequence));
      watcher_->arrived(text);
    }
  }

  Clock::time_point clock() const {
    return Clock::time_point(std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(now_ + 10)));
  }

  void dispatch() {
    for (;;) {
      const DispatchState state{.waiting = scheduler_->waiting(),
                                .waiting_tokens = scheduler_->waiting_tokens(),
                                .contended = scheduler_->contended(clock()),
                                .in_flight = busy_ + ready_.size(),
                                .workers = server_.workers,
                                .capacity = 2 * server_.workers,
                                .batch_tokens = server_.batch_tokens};
      if (!state.can_dispatch()) return;
      const size_t slot = free_slot(batches_, free_batches_);
      taken_.clear();
      scheduler_->next_batch({std::min(server_.batch_tokens, state.share()), clock(), 1}, taken_);
      std::vector<size_t>& batch = batches_[slot];
      batch.clear();
      for (const Sequence& sequence : taken_) {
        batch.push_back(sequence.id);
        watcher_->taken(places_[sequence.id].text, now_);
      }
      ready_.push_back(slot);
      if (busy_ < server_.workers) begin();
    }
  }

  // A worker takes the batch that has been ready longest.
  void begin() {
    const size_t slot = ready_.front();
    ready_.pop_front();
    ++busy_;
    double seconds = scenario_.cost->fixed_seconds();
    for (const size_t id : batches_[slot]) {
      seconds += places_[id].text.seconds;
      watcher_->begun(places_[id].text, now_);
    }
    plan(now_ + seconds, 0, slot);
  }

  void finish(size_t slot) {
    --busy_;
    for (const size_t id : batches_[slot]) {
      free_places_.push_back(id);
      const size_t opened = places_[id].open;
      Open& request = open_requests_[opened];
      if (--request.texts > 0) continue;
      const size_t client = request.client;
      answered_.push_back({clients_[client].kind, request.arrival, now_ - request.arrival, request.alone});
      free_requests_.push_back(opened);
      const bool again = scenario_.kinds[clients_[client].kind].arrivals == Arrivals::kSaturating;
      if (again && is_open()) arrive(client);
    }
    free_batches_.push_back(slot);
    if (!ready_.empty()) begin();
  }

  const Scenario& scenario_;
  const Server server_;
  Watcher no_watcher_;
  Watcher* const watcher_;
  std::unique_ptr<Scheduler> scheduler_;
  std::vector<Client> clients_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  double now_ = 0;
  bool open_ = true;
  size_t arrived_ = 0, busy_ = 0;
  uint64_t next_event_ = 0, next_request_ = 1, next_flow_ = 0;
  std::vector<Place> places_;
  std::vector<Open> open_requests_;
  std::vector<std::vector<size_t>> batches_;
  std::vector<size_t> free_places_, free_requests_, free_batches_, lengths_;
  std::vector<Sequence> taken_;
  std::deque<size_t> ready_;
  std::vector<Answered> answered_;
};

}  // namespace

std::vector<Answered> simulate(const Scenario& scenario, const MakeScheduler& make, Watcher* watcher) {
  return Simulation(scenario, make, watcher).go();
}

}  // namespace wde::simulation
