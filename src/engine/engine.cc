// The engine thread takes submitted requests through input, tokenizer and scheduler and keeps the executor fed; it
// never waits for an execution while there is other work. Finished jobs become responses on the workers' threads.
#include "wde/engine.h"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <mutex>
#include <span>
#include <unordered_map>

#include "base/thread_group.h"
#include "engine/counters.h"
#include "engine/encoder.h"
#include "engine/late_interaction.h"
#include "engine/modules.h"
#include "schedule/dispatch.h"
#include "schedule/intake.h"
#include "schedule/waiting_ids.h"

namespace wde {

namespace {

// Texts tokenized in one go before the engine thread looks at its other work again: a few milliseconds.
constexpr size_t kTokenizeTexts = 32;
constexpr size_t kTokenizeBytes = 32 << 10;
// Sequences that the scheduler may choose from, in full batches: enough to find neighbours in length.
constexpr size_t kLookaheadBatches = 32;
// Numbers of the groups of requests that are of none.
constexpr uint64_t kOwnGroup = uint64_t{1} << 63;

size_t bytes_of(const Request& request) {
  struct {
    size_t operator()(const std::string& text) const { return text.size(); }
    size_t operator()(const TextPair& pair) const { return pair.query.size() + pair.document.size(); }
    size_t operator()(const TokenIds& ids) const { return ids.ids.size() * sizeof(ids.ids[0]); }
    size_t operator()(const Image& image) const { return image.file.size(); }
  } of_input;
  return std::visit(of_input, request.input);
}

class EngineImpl final : public Engine {
 public:
  EngineImpl(const EngineArgs& args, const EngineImpl* sibling)
      : modules_(load_modules(args, sibling ? sibling->modules_->loaded : nullptr,
                              [this](std::unique_ptr<Job> job) { finish(std::move(job)); })),
        encoder_(*modules_, counters_),
        intake_(!modules_->scheduler || modules_->scheduler->separates_requests()) {
    const bool by_cost = modules_->scheduler && modules_->scheduler->separates_requests();
    if (by_cost && modules_->executor->takes_jobs()) calibrate();
    thread_.start("wde-engine", [this] { run(); });
  }

  ~EngineImpl() override { shutdown(); }

  using Engine::submit;
  RequestId submit(Request request, Callback done) override {
    const RequestId id = next_id_.fetch_add(1, std::memory_order_relaxed);
    if (request.group == 0) request.group = kOwnGroup | id;
    Submitted submitted{
        id, request.group, request.deadline, bytes_of(request), std::move(request), std::move(done), Clock::now()};
    {
      std::unique_lock lock(mutex_);
      if (stopping_) {
        lock.unlock();
        submitted.done(Error{ErrorCode::kUnavailable, "the engine is shutting down"});
        return id;
      }
      waiting_.insert(id);
      inbox_.push_back(std::move(submitted));
    }
    wake_.notify_one();
    return id;
  }

  bool cancel(RequestId id) override {
    if (!waiting_.remove(id)) return false;
    {
      std::scoped_lock lock(mutex_);
      cancelled_.push_back(id);
    }
    wake_.notify_one();
    return true;
  }

  void shutdown() override {
    std::scoped_lock once(shutdown_mutex_);
    {
      std::scoped_lock lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }

  const EngineInfo& info() const override { return modules_->info; }

  EngineStatistics statistics() const override {
    EngineStatistics out = counters_.read();
    out.workers = modules_->info.workers;
    out.waiting = waiting_.size();
    if (modules_->cost) out.cost_error = modules_->cost->error();
    return out;
  }

  double seconds(size_t tokens) const override {
    if (!modules_->cost) return kTokenizeSeconds * static_cast<double>(tokens);
    const size_t threads = modules_->info.workers * modules_->threads_a_batch;
    return modules_->cost->seconds(tokens) / static_cast<double>(threads);
  }

  Result<std::string> decode(const std::vector<int32_t>& ids, bool skip_special_tokens) const override {
    return modules_->tokenizer->decode(ids, skip_special_tokens);
  }

 private:
  // Of a token, where nothing more is done.
  static constexpr double kTokenizeSeconds = 1e-6;

  struct Active {  // tokenized, not yet answered
    Callback done;
    Timing timing;
    uint64_t group = 0;
    size_t tokens = 0;
  };

  // Before there are requests: what batches of a few lengths take when every worker has one. Each length twice, since
  // the first time memory is touched for the first time; no more of them when they take long.
  void calibrate() {
    constexpr std::array<size_t, 3> kLengths{8, 64, 256};
    constexpr std::chrono::milliseconds kLong{50};
    for (const size_t length : kLengths) {
      if (length > modules_->info.max_length) return;
      const Clock::time_point begin = Clock::now();
      run_calibration(length, false);
      run_calibration(length, true);
      if (Clock::now() - begin > kLong) return;
    }
  }

  void run_calibration(size_t length, bool measured) {
    Modules& m = *modules_;
    std::unique_lock lock(mutex_);
    measuring_ = measured;
    calibrating_ = m.executor->workers();
    lock.unlock();
    for (size_t i = m.executor->workers(); i > 0; --i) {
      auto job = std::make_unique<Job>();
      Sequence& sequence = job->batch.emplace_back();
      for (size_t k = 0; k < length; ++k) {
        sequence.ids.push_back(static_cast<int32_t>((1 + 7919 * k) % m.model->shape().vocab_size));
      }
      sequence.type_ids.assign(length, 0);
      sequence.special_tokens_mask.assign(length, 0);
      m.builder->build(job->batch, m.rows_needed(), job->input);
      m.executor->submit(std::move(job));
    }
    lock.lock();
    calibrated_.wait(lock, [this] { return calibrating_ == 0; });
  }

  // Any thread: what a batch cost. Where a team of idle workers helped it, that says little of one among others.
  void learn(const Job& job) {
    CostModel* const cost = modules_->cost.get();
    if (cost == nullptr || !job.error.empty()) return;
    const double busy = std::chrono::duration<double>(job.busy).count();
    const double wall = std::chrono::duration<double>(job.finished - job.started).count();
    if (modules_->threads_a_batch == 1 && busy > 1.5 * wall) return;
    std::vector<size_t> lengths;
    lengths.reserve(job.batch.size());
    for (const Sequence& sequence : job.batch) lengths.push_back(sequence.size());
    cost->observe(lengths, busy);
  }

  // Any thread: a job came back from the executor. It is answered on the spot, by a worker: to wake the engine thread
  // for that takes an eighth of a short text's time in int8. Those that wait come first.
  void finish(std::unique_ptr<Job> job) {
    std::vector<Active> active;
    {
      std::scoped_lock lock(mutex_);
      if (calibrating_ > 0) {
        if (measuring_) learn(*job);
        if (--calibrating_ == 0) calibrated_.notify_one();
        return;
      }
      active.reserve(job->batch.size());
      for (const Sequence& s : job->batch) active.push_back(take_active(s.id));
      --in_flight_;
      ++answering_;
    }
    if (waiting_.size() > 0) wake_.notify_one();
    learn(*job);
    respond(*job, active);
    bool stopping = false;
    {
      std::scoped_lock lock(mutex_);
      --answering_;
      keep(std::move(job));
      stopping = stopping_;
    }
    if (stopping) wake_.notify_one();
  }

  void run() {
    std::vector<Submitted> arrived;
    std::vector<RequestId> cancelled;
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [this] {
          return !inbox_.empty() || !cancelled_.empty() || can_dispatch() || can_tokenize() || (stopping_ && idle());
        });
        if (stopping_ && idle() && inbox_.empty() && cancelled_.empty()) return;
        arrived.swap(inbox_);
        cancelled.swap(cancelled_);
      }
      for (Submitted& submitted : arrived) intake_.add(std::move(submitted));
      arrived.clear();
      for (const RequestId id : cancelled) drop(id);
      cancelled.clear();
      // Workers first: the tokenizer may use the time in which they compute.
      while (can_dispatch()) dispatch();
      if (can_tokenize()) tokenize();
    }
  }

  // Under the lock.
  bool idle() const { return intake_.empty() && active_.empty() && in_flight_ == 0 && answering_ == 0; }

  bool can_tokenize() const {
    return intake_.has_next(!modules_->scheduler ||
                            modules_->scheduler->waiting_tokens() < kLookaheadBatches * modules_->batch_tokens());
  }

  // Precondition: there is a scheduler.
  DispatchState dispatch_state() const {
    const Modules& m = *modules_;
    return {.waiting = m.scheduler->waiting(),
            .waiting_tokens = m.scheduler->waiting_tokens(),
            .contended = m.scheduler->contended(Clock::now()),
            .more_coming = !intake_.empty(),
            .in_flight = in_flight_,
            .workers = m.executor->workers(),
            .capacity = m.executor->capacity(),
            .batch_tokens = m.batch_tokens()};
  }

  bool can_dispatch() const { return modules_->scheduler && dispatch_state().can_dispatch(); }

  // It was cancelled. Where it is not found it was dropped on its way already.
  void drop(RequestId id) {
    if (std::optional<Submitted> submitted = intake_.cancel(id)) return submitted->done(cancelled());
    if (!modules_->scheduler || !modules_->scheduler->cancel(id)) return;
    std::unique_lock lock(mutex_);
    Active active = take_active(id);
    lock.unlock();
    intake_.leave(active.group, active.tokens);
    active.done(cancelled());
  }

  static Error cancelled() { return {ErrorCode::kCancelled, "the request was cancelled"}; }

  // Under the lock.
  Active take_active(RequestId id) {
    auto node = active_.extract(id);
    return std::move(node.mapped());
  }

  void fail(Submitted& submitted, Error error) {
    intake_.leave(submitted.group, 0);
    submitted.done(waiting_.remove(submitted.id) ? std::move(error) : cancelled());
  }

  // What fails is answered here, the rest waits in the scheduler.
  void tokenize() {
    std::vector<Submitted> chunk;
    for (size_t bytes = 0; chunk.size() < kTokenizeTexts && bytes < kTokenizeBytes && can_tokenize();) {
      Submitted submitted = intake_.next();
      if (late(submitted.deadline, submitted.group)) {
        fail(submitted, too_late());
        continue;
      }
      bytes += submitted.bytes;
      chunk.push_back(std::move(submitted));
    }
    if (chunk.empty()) return;
    Timing timing;
    std::vector<Result<Sequence>> encoded = encoder_.encode(chunk, timing);
    for (size_t i = 0; i < chunk.size(); ++i) {
      Submitted& owner = chunk[i];
      if (!encoded[i].ok()) {
        fail(owner, encoded[i].error());
        continue;
      }
      Sequence sequence = std::move(encoded[i]).value();
      timing.submitted = owner.arrival;
      const size_t tokens = sequence.size();
      intake_.tokenized(owner.group, tokens);
      sequence.group_left = intake_.tokens_left(owner.group);
      Active active{std::move(owner.done), timing, owner.group, tokens};
      if (modules_->scheduler) {
        {
          std::scoped_lock lock(mutex_);
          active_.emplace(owner.id, std::move(active));
        }
        modules_->scheduler->add(std::move(sequence));
        continue;
      }
      // Those of its group that come next have had their turn.
      intake_.leave(owner.group, 0);
      if (waiting_.remove(owner.id)) {
        answer(std::move(active), sequence, {});
      } else {
        active.done(cancelled());
      }
    }
  }

  // Under the lock.
  void keep(std::unique_ptr<Job> job) {
    job->batch.clear();
    free_jobs_.push_back(std::move(job));
  }

  std::unique_ptr<Job> free_job() {
    std::scoped_lock lock(mutex_);
    if (free_jobs_.empty()) return std::make_unique<Job>();
    std::unique_ptr<Job> job = std::move(free_jobs_.back());
    free_jobs_.pop_back();
    return job;
  }

  void dispatch() {
    std::unique_ptr<Job> job = free_job();
    Modules& m = *modules_;
    StageClock clock(counters_);
    const size_t share = dispatch_state().share();
    // What is in a batch says whether more of it would be good.
    for (size_t budget = 0, more = m.batch_tokens(); more > budget; more = m.batch_tokens(job->batch)) {
      budget = more;
      m.scheduler->next_batch({std::min(budget, share), clock.begin(), m.threads_a_batch}, job->batch);
    }
    drop_unwanted(*job);
    clock.end(Stage::kSchedule);
    if (job->batch.empty()) {
      std::scoped_lock lock(mutex_);
      return keep(std::move(job));
    }
    ++in_flight_;
    const Trace::Span span(m.trace.get(), "build", job->batch.size());
    const auto built = guarded([&]() -> Result<bool> {
      m.builder->build(job->batch, m.rows_needed(), job->input);
      return true;
    });
    clock.end(Stage::kBuild);
    if (built.ok()) {
      m.executor->submit(std::move(job));
    } else {
      job->error = built.error().message;
      finish(std::move(job));
    }
  }

  // Nobody waits for these any more: they cost no computing. The others have begun.
  void drop_unwanted(Job& job) {
    std::erase_if(job.batch, [this](const Sequence& sequence) {
      const uint64_t group = sequence.options.group;
      const bool is_late = late(sequence.options.deadline, group);
      const bool is_cancelled = !waiting_.remove(sequence.id);
      if (!is_late && !is_cancelled) intake_.begin(group);
      intake_.leave(group, sequence.size());
      if (!is_late && !is_cancelled) return false;
      std::unique_lock lock(mutex_);
      const Active active = take_active(sequence.id);
      lock.unlock();
      active.done(is_cancelled ? cancelled() : too_late());
      return true;
    });
  }

  // What was begun is finished.
  bool late(const std::optional<Clock::time_point>& deadline, uint64_t group) const {
    return deadline && Clock::now() >= *deadline && !intake_.has_begun(group);
  }
  static Error too_late() { return {ErrorCode::kDeadline, "the request's deadline passed before its execution began"}; }

  // Any thread. `active`: of the job's sequences.
  void respond(Job& job, std::span<Active> active) {
    if (active.empty()) return;
    const Modules& m = *modules_;
    const Trace::Span span(m.trace.get(), "respond", job.batch.size());
    const bool ok = job.error.empty();
    if (ok) counters_.add_batch(job);
    StageClock clock(counters_);
    const View<float> rows = !ok ? View<float>{} : m.head ? job.output.result() : job.output.hidden();
    const bool per_token = m.head ? !m.head->result().per_sequence : job.input.rows == RowsNeeded::kAll;
    for (size_t s = 0; s < job.batch.size(); ++s) {
      if (!ok) {
        active[s].done(Error{ErrorCode::kInternal, job.error});
        continue;
      }
      const size_t begin = per_token ? static_cast<size_t>(job.input.cu_seqlens[s]) : s;
      const size_t count = per_token ? job.batch[s].size() : 1;
      active[s].timing.executing = job.started;
      active[s].timing.executed = job.finished;
      answer(std::move(active[s]), job.batch[s], rows.slice_rows(begin, count));
    }
    clock.end(Stage::kOutput);
  }

  void answer(Active active, const Sequence& sequence, View<const float> hidden) {
    auto result = guarded([&] { return modules_->output->process(sequence, hidden); });
    if (result.ok()) {
      Response& response = result.value();
      response.tokens = sequence.size();
      response.truncated = sequence.truncated;
      response.timing = active.timing;
      response.timing.answered = Clock::now();
    }
    active.done(std::move(result));
  }

  std::atomic<RequestId> next_id_{1};

  WaitingIds waiting_;

  std::mutex shutdown_mutex_;
  mutable std::mutex mutex_;  // guards the members up to the next blank line
  std::condition_variable wake_, calibrated_;
  std::vector<Submitted> inbox_;
  std::vector<RequestId> cancelled_;
  std::unordered_map<RequestId, Active> active_;
  std::vector<std::unique_ptr<Job>> free_jobs_;
  std::atomic<size_t> in_flight_{0};  // jobs with the executor; grows on the engine thread, which reads it
  size_t answering_ = 0;              // jobs that came back and are being answered
  size_t calibrating_ = 0;            // jobs of a calibration that have not come back
  bool measuring_ = false;            // ... from which something is learned
  bool stopping_ = false;

  Counters counters_;
  std::unique_ptr<Modules> modules_;

  // The engine thread's own.
  Encoder encoder_;
  Intake intake_;

  ThreadGroup thread_;
};

}  // namespace

std::unique_ptr<Engine> Engine::create(const EngineArgs& args, const Engine* sibling) {
  const auto* const shared = dynamic_cast<const EngineImpl*>(without_max_sim(sibling));
  const std::optional<bool> mean = scores_by_max_sim(args);
  if (!mean) return std::make_unique<EngineImpl>(args, shared);
  EngineArgs of_vectors = args;
  of_vectors.set("task", "multi_vector");
  return make_max_sim_engine(std::make_unique<EngineImpl>(of_vectors, shared), *mean);
}

std::future<Result<Response>> Engine::submit(Request request) {
  auto promise = std::make_shared<std::promise<Result<Response>>>();  // std::function must be copyable
  auto future = promise->get_future();
  submit(std::move(request), [promise](Result<Response> result) { promise->set_value(std::move(result)); });
  return future;
}

}  // namespace wde
