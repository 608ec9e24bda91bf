// The engine thread takes submitted requests through input, tokenizer and scheduler and keeps the executor fed; it
// never waits for an execution while there is other work. Finished jobs become responses on the workers' threads.
#include "wde/engine.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <span>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

#include "base/thread_group.h"
#include "engine/counters.h"
#include "engine/late_interaction.h"
#include "engine/modules.h"

namespace wde {

namespace {

// Texts tokenized in one go before the engine thread looks at its other work again: a few milliseconds.
constexpr size_t kTokenizeChunk = 32;
// Sequences that the scheduler may choose from, in full batches: enough to find neighbours in length.
constexpr size_t kLookaheadBatches = 32;

struct Submitted {
  RequestId id = 0;
  Request request;
  Engine::Callback done;
  Clock::time_point arrival;
};

class EngineImpl final : public Engine {
 public:
  EngineImpl(const EngineArgs& args, const EngineImpl* sibling) {
    modules_ = load_modules(args, sibling ? sibling->modules_->loaded : nullptr,
                            [this](std::unique_ptr<Job> job) { finish(std::move(job)); });
    thread_.start("wde-engine", [this] { run(); });
  }

  ~EngineImpl() override { shutdown(); }

  using Engine::submit;
  RequestId submit(Request request, Callback done) override {
    Submitted submitted{next_id_.fetch_add(1, std::memory_order_relaxed), std::move(request), std::move(done),
                        Clock::now()};
    const RequestId id = submitted.id;
    {
      std::unique_lock lock(mutex_);
      if (stopping_) {
        lock.unlock();
        submitted.done(Error{ErrorCode::kUnavailable, "the engine is shutting down"});
        return id;
      }
      waiting_.insert(id);
      incoming_.push_back(std::move(submitted));
    }
    wake_.notify_one();
    return id;
  }

  bool cancel(RequestId id) override {
    {
      std::scoped_lock lock(mutex_);
      if (waiting_.erase(id) == 0) return false;
      cancelled_.insert(id);
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
    std::scoped_lock lock(mutex_);
    out.waiting = waiting_.size();
    return out;
  }

  Result<std::string> decode(const std::vector<int32_t>& ids, bool skip_special_tokens) const override {
    return modules_->tokenizer->decode(ids, skip_special_tokens);
  }

 private:
  using Encoded = std::vector<Result<Sequence>>;

  struct Active {  // tokenized, not yet answered
    Callback done;
    Timing timing;
  };

  // Any thread: a job came back from the executor. It is answered on the spot, by a worker: to wake the engine thread
  // for that takes an eighth of a short text's time in int8. Those that wait come first.
  void finish(std::unique_ptr<Job> job) {
    std::vector<Active> active;
    bool more = false;
    {
      std::scoped_lock lock(mutex_);
      active.reserve(job->batch.size());
      for (const Sequence& s : job->batch) active.push_back(take_active(s.id));
      --in_flight_;
      ++answering_;
      more = !waiting_.empty();
    }
    if (more) wake_.notify_one();
    respond(*job, active);
    {
      std::scoped_lock lock(mutex_);
      --answering_;
      job->batch.clear();
      free_jobs_.push_back(std::move(job));
      more = stopping_;
    }
    if (more) wake_.notify_one();
  }

  void run() {
    std::vector<Submitted> chunk;
    for (;;) {
      bool more_incoming = false;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [this] {
          return !cancelled_.empty() || can_dispatch(incoming_.empty()) || can_tokenize() || (stopping_ && idle());
        });
        if (stopping_ && idle() && cancelled_.empty()) return;
        drop_cancelled(lock);
        // Workers first: the tokenizer may use the time in which they compute.
        if (!can_dispatch(incoming_.empty()) && can_tokenize()) {
          while (!incoming_.empty() && chunk.size() < kTokenizeChunk) {
            chunk.push_back(std::move(incoming_.front()));
            incoming_.pop_front();
          }
        }
        more_incoming = !incoming_.empty();
      }
      while (can_dispatch(!more_incoming)) dispatch();
      if (!chunk.empty()) tokenize(chunk);
      chunk.clear();
    }
  }

  // Under the lock.
  bool idle() const { return incoming_.empty() && active_.empty() && in_flight_ == 0 && answering_ == 0; }

  bool can_tokenize() const {
    return !incoming_.empty() && (!modules_->scheduler ||
                                  modules_->scheduler->waiting_tokens() < kLookaheadBatches * modules_->batch_tokens());
  }

  // A full batch may go whenever there is room; less than that only to a worker that would idle, when nothing more is
  // at hand.
  bool can_dispatch(bool nothing_incoming) const {
    if (!modules_->scheduler || modules_->scheduler->waiting() == 0 || in_flight_ >= modules_->executor->capacity())
      return false;
    if (modules_->scheduler->waiting_tokens() >= modules_->batch_tokens()) return true;
    return nothing_incoming && in_flight_ < modules_->executor->workers();
  }

  // Until none is left with the lock held: more may be cancelled while the callbacks run without it. All of them in one
  // pass over what waits, since many come at once when clients leave.
  void drop_cancelled(std::unique_lock<std::mutex>& lock) {
    while (!cancelled_.empty()) {
      std::vector<Callback> callbacks;
      std::deque<Submitted> kept;
      for (Submitted& submitted : incoming_) {
        if (cancelled_.erase(submitted.id) == 0) {
          kept.push_back(std::move(submitted));
        } else {
          callbacks.push_back(std::move(submitted.done));
        }
      }
      incoming_.swap(kept);
      for (RequestId id : cancelled_) {
        if (modules_->scheduler && modules_->scheduler->cancel(id)) callbacks.push_back(take_active(id).done);
      }
      cancelled_.clear();
      lock.unlock();
      for (Callback& done : callbacks) done(cancelled());
      lock.lock();
    }
  }

  static Error cancelled() { return {ErrorCode::kCancelled, "the request was cancelled"}; }

  // Under the lock.
  Active take_active(RequestId id) {
    auto node = active_.extract(id);
    return std::move(node.mapped());
  }

  void fail(RequestId id, const Callback& done, Error error) {
    done(forget_waiting(id) ? std::move(error) : cancelled());
  }

  // Input processor and tokenizer for a chunk; what fails is answered here, the rest waits in the scheduler.
  void tokenize(std::vector<Submitted>& chunk) {
    const Modules& m = *modules_;
    const Trace::Span span(m.trace.get(), "tokenize", chunk.size());
    StageClock clock(counters_);
    Timing timing;
    timing.tokenizing = clock.begin();
    std::vector<TokenizeJob> jobs;
    std::vector<Submitted*> owners;
    for (Submitted& submitted : chunk) {
      if (expired(submitted.request.deadline)) {
        fail(submitted.id, submitted.done, late());
        continue;
      }
      auto job = guarded([&] {
        auto made = m.input->process(std::move(submitted.request));
        if (!made.ok()) return made;
        Truncation& truncation = made.value().options.truncation;
        truncation = m.info.resolve(truncation);
        if (m.llm2vec) {
          m.llm2vec->prepare(*m.tokenizer, made.value());
        } else if (m.output->wants_prompt_tokens() && !made.value().prompt.empty()) {
          made.value().prompt_tokens = prompt_tokens(made.value().prompt);
        }
        return made;
      });
      if (!job.ok()) {
        fail(submitted.id, submitted.done, job.error());
        continue;
      }
      jobs.push_back(std::move(job).value());
      owners.push_back(&submitted);
    }
    clock.end(Stage::kInput);
    auto all = guarded(
        [&]() -> Result<Encoded> { return m.tokenizer->encode(jobs, m.info.max_length, m.output->wants_offsets()); });
    timing.tokenized = timing.executing = timing.executed = clock.end(Stage::kTokenize);
    if (!all.ok()) {
      for (Submitted* owner : owners) fail(owner->id, owner->done, all.error());
      return;
    }
    auto encoded = std::move(all).value();
    for (size_t i = 0; i < jobs.size(); ++i) {
      Submitted& owner = *owners[i];
      if (!encoded[i].ok()) {
        fail(owner.id, owner.done, encoded[i].error());
        continue;
      }
      timing.submitted = owner.arrival;
      Sequence sequence = std::move(encoded[i]).value();
      if (!m.has_segments) std::fill(sequence.type_ids.begin(), sequence.type_ids.end(), 0);
      if (jobs[i].text_tokens) {
        // As LLM2Vec: with no token of its own a text is everything.
        const size_t own = std::min(*jobs[i].text_tokens, sequence.size());
        sequence.prompt_tokens = own == 0 ? 0 : sequence.size() - own;
      }
      sequence.id = owner.id;
      sequence.arrival = owner.arrival;
      if (expired(sequence.options.deadline)) {
        fail(owner.id, owner.done, late());
      } else if (auto error = check(sequence)) {
        fail(owner.id, owner.done, std::move(*error));
      } else if (m.scheduler) {
        if (!sequence.image) {
          const auto own = m.head ? m.head->last_row(sequence.ids) : std::nullopt;
          sequence.last_row = own.value_or(m.model->last_row(sequence.ids));
        }
        {
          std::scoped_lock lock(mutex_);
          active_.emplace(owner.id, Active{std::move(owner.done), timing});
        }
        modules_->scheduler->add(std::move(sequence));
      } else if (forget_waiting(owner.id)) {
        answer(Active{std::move(owner.done), timing}, sequence, {});
      } else {
        owner.done(cancelled());
      }
    }
    clock.end(m.scheduler ? Stage::kSchedule : Stage::kOutput);
  }

  std::optional<Error> check(const Sequence& sequence) const {
    if (!modules_->model) return std::nullopt;
    if (sequence.ids.empty())
      return Error{ErrorCode::kInvalidInput, "the text has no tokens, and this model's tokenizer adds none"};
    const auto rows = modules_->model->shape().vocab_size;
    const size_t limit = sequence.options.max_length;
    if (limit > modules_->info.max_length) {
      return Error{ErrorCode::kInvalidInput, fmt::format("a maximum length of {} was asked for, the model's is {}",
                                                         limit, modules_->info.max_length)};
    }
    for (int32_t id : sequence.ids) {
      if (id < 0 || static_cast<size_t>(id) >= rows) {
        return Error{ErrorCode::kInvalidInput,
                     fmt::format("token id {} is outside the model's embedding table of {} rows", id, rows)};
      }
    }
    return std::nullopt;
  }

  // Tokens of the prompt alone, without the special token that closes a text (sentence-transformers' rule).
  size_t prompt_tokens(const std::string& prompt) {
    if (prompt == counted_prompt_) return counted_tokens_;
    TokenizeJob job;
    job.text = prompt;
    const Encoded encoded = modules_->tokenizer->encode({&job, 1}, modules_->info.max_length, false);
    size_t count = 0;
    if (encoded[0].ok()) {
      const Sequence& s = encoded[0].value();
      count = s.size();
      if (count > 0 && s.special_tokens_mask.back() != 0) --count;
    }
    counted_prompt_ = prompt;
    return counted_tokens_ = count;
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
    // What waits is shared among the workers that would idle.
    const size_t idle_workers = m.executor->workers() - std::min(m.executor->workers(), in_flight_.load());
    const size_t share =
        idle_workers == 0 ? SIZE_MAX : (m.scheduler->waiting_tokens() + idle_workers - 1) / idle_workers;
    {
      // Under the lock, so that a request is either cancelled or in the batch.
      std::unique_lock lock(mutex_);
      drop_cancelled(lock);
      // What is in a batch says whether more of it would be good.
      for (size_t budget = 0, more = m.batch_tokens(); more > budget; more = m.batch_tokens(job->batch)) {
        budget = more;
        m.scheduler->next_batch(std::min(budget, share), job->batch);
      }
      for (const Sequence& s : job->batch) waiting_.erase(s.id);
      ++in_flight_;
    }
    drop_expired(*job);
    clock.end(Stage::kSchedule);
    if (job->batch.empty()) return finish(std::move(job));
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

  static bool expired(const std::optional<Clock::time_point>& deadline) {
    return deadline && Clock::now() >= *deadline;
  }
  static Error late() { return {ErrorCode::kDeadline, "the request's deadline passed before its execution began"}; }

  // Nobody waits for these any more: they cost no computing.
  void drop_expired(Job& job) {
    std::erase_if(job.batch, [this](const Sequence& sequence) {
      if (!expired(sequence.options.deadline)) return false;
      Active active;
      {
        std::scoped_lock lock(mutex_);
        active = take_active(sequence.id);
      }
      active.done(late());
      return true;
    });
  }

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

  // A module that throws fails its request, not the engine. f returns a Result.
  template <class F>
  auto guarded(const F& f) -> decltype(f()) {
    try {
      return f();
    } catch (const std::exception& e) {
      return Error{ErrorCode::kInternal, e.what()};
    } catch (...) {
      return Error{ErrorCode::kInternal, "a module threw an unknown exception"};
    }
  }

  // The engine is about to answer. False: cancel() came first, and its caller was promised kCancelled.
  bool forget_waiting(RequestId id) {
    std::scoped_lock lock(mutex_);
    if (waiting_.erase(id) != 0) return true;
    cancelled_.erase(id);
    return false;
  }

  std::atomic<RequestId> next_id_{1};

  std::mutex shutdown_mutex_;
  mutable std::mutex mutex_;  // guards the members up to the next blank line
  std::condition_variable wake_;
  std::deque<Submitted> incoming_;
  std::unordered_set<RequestId> waiting_;  // may still be cancelled
  std::unordered_set<RequestId> cancelled_;
  std::unordered_map<RequestId, Active> active_;
  std::vector<std::unique_ptr<Job>> free_jobs_;
  std::atomic<size_t> in_flight_{0};  // jobs with the executor; changed under the lock, read by the engine thread
  size_t answering_ = 0;              // jobs that came back and are being answered
  bool stopping_ = false;

  Counters counters_;

  // The engine thread's own.
  std::string counted_prompt_;
  size_t counted_tokens_ = 0;

  std::unique_ptr<Modules> modules_;
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
