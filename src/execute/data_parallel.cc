// data_parallel: one worker thread a core, each with whole batches, all reading the same weights: no barriers while
// there is work for everyone. A worker whose batch is the only one takes the idle workers into its crew, so that a
// single text uses all cores. While only long batches wait, all workers take each of them together: the barriers cost
// next to nothing then, and none is left over for a single worker at the end.
#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>

#include "base/cpu.h"
#include "base/thread_group.h"
#include "execute/crew.h"
#include "execute/executor.h"

namespace wde {
namespace {

// How long an idle worker looks out for work before it sleeps. Waking a sleeper costs 30 to 60 microseconds, three
// times for a single text; the next text of a caller that waits for each answer comes within 200. An idle engine uses
// no CPU.
constexpr std::chrono::microseconds kLookout{200};
// A batch of so many tokens for each worker is long.
constexpr size_t kLongTokensAWorker = 1024;

class DataParallelExecutor final : public Executor {
 public:
  explicit DataParallelExecutor(const ExecutorConfig& config) : done_(config.done) {
    for (size_t i = 0; i < config.workers; ++i) {
      members_.push_back(std::make_unique<Member>());
      members_.back()->worker = config.make_worker();
    }
    threads_.start({"wde-worker", "--workers"}, members_.size(), [this](size_t i) {
      place_this_thread(i, members_.size());
      run(*members_[i]);
    });
  }

  ~DataParallelExecutor() override {
    {
      std::scoped_lock lock(mutex_);
      stopping_ = true;
      signal();
      for (const auto& member : members_) member->wake.notify_one();
    }
    threads_.join();
  }

  size_t workers() const override { return members_.size(); }
  // One running and one ready for each worker.
  size_t capacity() const override { return 2 * members_.size(); }

  void submit(std::unique_ptr<Job> job) override {
    std::scoped_lock lock(mutex_);
    queue_.push_back(std::move(job));
    signal();
    wake_idle();
  }

 private:
  struct Member {
    std::unique_ptr<Worker> worker;
    Crew crew;  // when it leads
    std::condition_variable wake;
    Crew* helps = nullptr;  // when it helps; set by the leader
    size_t rank = 0;
    uint32_t ticket = 0;
  };

  void run(Member& self) {
    for (;;) {
      std::unique_ptr<Job> job;
      {
        std::unique_lock lock(mutex_);
        idle_.push_back(&self);
        if (awaited_) others_left_.notify_one();
        if (self.helps == nullptr && queue_.empty() && !stopping_) {
          const uint32_t seen = signals_.load(std::memory_order_relaxed);
          lock.unlock();
          poll_for_change(signals_, seen, kLookout);
          lock.lock();
        }
        self.wake.wait(lock, [&] { return self.helps != nullptr || (!awaited_ && (!queue_.empty() || stopping_)); });
        std::erase(idle_, &self);
        if (self.helps == nullptr) {
          if (queue_.empty()) return;
          job = std::move(queue_.front());
          queue_.pop_front();
          if (only_long(*job)) await_others(lock);
          if (queue_.empty() || only_long(*job)) {
            gather_idle(self);
          } else {
            wake_idle();  // submit() may have woken this member for two jobs
          }
        }
      }
      if (job) {
        self.worker->execute(*job, self.crew);
        self.crew.dismiss();
        done_(std::move(job));
      } else {
        self.helps->help(self.rank, self.ticket);
        self.helps = nullptr;
      }
    }
  }

  void signal() { signals_.fetch_add(1, std::memory_order_release); }

  void wake_idle() {
    if (!queue_.empty() && !idle_.empty()) idle_.back()->wake.notify_one();
  }

  // This job and those that wait. A short one is not to wait for a long one while there are workers for both.
  bool only_long(const Job& job) const {
    const size_t tokens = kLongTokensAWorker * members_.size();
    return job.input.tokens() >= tokens && std::all_of(queue_.begin(), queue_.end(), [&](const auto& other) {
             return other->input.tokens() >= tokens;
           });
  }

  // Until every other member is idle; none of them takes a job or ends meanwhile. (None has ended: there was a job.)
  void await_others(std::unique_lock<std::mutex>& lock) {
    awaited_ = true;
    others_left_.wait(lock, [&] { return idle_.size() + 1 == members_.size(); });
    awaited_ = false;
    for (Member* member : idle_) member->wake.notify_one();  // for what has come, or the end
  }

  // Under the lock, so that every member is idle, leading or helping, never two of them.
  void gather_idle(Member& leader) {
    if (idle_.empty()) return;
    const uint32_t ticket = leader.crew.gather(idle_.size());
    signal();
    for (size_t i = 0; i < idle_.size(); ++i) {
      idle_[i]->helps = &leader.crew;
      idle_[i]->rank = i + 1;
      idle_[i]->ticket = ticket;
      idle_[i]->wake.notify_one();
    }
    idle_.clear();
  }

  Completion done_;
  std::vector<std::unique_ptr<Member>> members_;
  std::mutex mutex_;  // guards what follows, and `helps`, `rank`, `ticket` of idle members
  std::deque<std::unique_ptr<Job>> queue_;
  std::vector<Member*> idle_;
  bool stopping_ = false;
  bool awaited_ = false;  // a member with a job waits for all others to be idle
  std::condition_variable others_left_;
  alignas(128) std::atomic<uint32_t> signals_{
      0};  // changes, under the lock, whenever an idle member may have something to do
  ThreadGroup threads_;
};

WDE_REGISTER(executors().add("data_parallel", {"async", [](const ExecutorConfig& c) {
                                                 return std::make_unique<DataParallelExecutor>(c);
                                               }}));

}  // namespace
}  // namespace wde
