// tensor_parallel: all workers compute every batch together, each its share of the heads and of the weights' columns
// (or, where there are many tokens, of their rows): how one long text uses all cores. Activations lie in shared memory,
// and no sum is ever split between members, so there is nothing to reduce and results equal a single worker's to the
// last bit.
//
// async: the same with a team of one: the next batch is tokenized and built while this one is computed.
#include "base/cpu.h"
#include "base/thread_group.h"
#include "execute/crew.h"
#include "execute/executor.h"
#include "execute/job_queue.h"

namespace wde {
namespace {

class TeamExecutor final : public Executor {
 public:
  TeamExecutor(const ExecutorConfig& config, size_t members)
      : worker_(config.make_worker()), done_(config.done), standing_(members) {
    leader_.start("wde-worker", [this, members] {
      place_this_thread(0, members);
      run();
    });
  }

  ~TeamExecutor() override {
    queue_.close();
    leader_.join();
  }

  size_t workers() const override { return 1; }
  size_t capacity() const override { return 2; }  // one is computed, one is ready
  void submit(std::unique_ptr<Job> job) override { queue_.push(std::move(job)); }

 private:
  void run() {
    while (std::unique_ptr<Job> job = queue_.pop()) {
      worker_->execute(*job, standing_.crew());
      done_(std::move(job));
    }
  }

  std::unique_ptr<Worker> worker_;
  Completion done_;
  StandingCrew standing_;
  JobQueue queue_;
  ThreadGroup leader_;
};

WDE_REGISTER(executors().add("tensor_parallel", {"async", [](const ExecutorConfig& config) {
                                                   return std::make_unique<TeamExecutor>(config, config.workers);
                                                 }}));
WDE_REGISTER(executors().add("async", {"async", [](const ExecutorConfig& config) {
                                         return std::make_unique<TeamExecutor>(config, 1);
                                       }}));

}  // namespace
}  // namespace wde
