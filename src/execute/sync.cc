// sync: jobs run on the engine's own thread, one at a time. No hand-over, no overlap.
#include "execute/executor.h"

namespace wde {
namespace {

class SyncExecutor final : public Executor {
 public:
  explicit SyncExecutor(const ExecutorConfig& config) : worker_(config.make_worker()), done_(config.done) {}
  size_t workers() const override { return 1; }
  size_t capacity() const override { return 1; }
  void submit(std::unique_ptr<Job> job) override {
    Team alone;
    worker_->execute(*job, alone);
    done_(std::move(job));
  }

 private:
  std::unique_ptr<Worker> worker_;
  Completion done_;
};

WDE_REGISTER(executors().add("sync",
                             {"sync", [](const ExecutorConfig& c) { return std::make_unique<SyncExecutor>(c); }}));

}  // namespace
}  // namespace wde
