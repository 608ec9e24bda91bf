// data_parallel: one worker thread a core, each with whole batches, all reading the same weights. The throughput default: no
// barriers, and the workers take jobs from one queue, so none idles while there is work.
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "execute/executor.h"

namespace wde {
namespace {

class DataParallelExecutor final : public Executor {
 public:
  explicit DataParallelExecutor(const ExecutorConfig& config) : done_(config.done) {
    for (size_t i = 0; i < config.workers; ++i) workers_.push_back(config.make_worker());
    for (const auto& worker : workers_) threads_.emplace_back([this, &worker] { work(*worker); });
  }

  ~DataParallelExecutor() override {
    {
      std::scoped_lock lock(mutex_);
      stopping_ = true;
    }
    ready_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  size_t workers() const override { return workers_.size(); }
  // One running and one ready for each worker.
  size_t capacity() const override { return 2 * workers_.size(); }

  void submit(std::unique_ptr<Job> job) override {
    {
      std::scoped_lock lock(mutex_);
      queue_.push_back(std::move(job));
    }
    ready_.notify_one();
  }

 private:
  void work(Worker& worker) {
    for (;;) {
      std::unique_ptr<Job> job;
      {
        std::unique_lock lock(mutex_);
        ready_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
        if (queue_.empty()) return;
        job = std::move(queue_.front());
        queue_.pop_front();
      }
      worker.execute(*job);
      done_(std::move(job));
    }
  }

  Completion done_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<std::unique_ptr<Job>> queue_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

WDE_REGISTER(executors().add("data_parallel", {"async", [](const ExecutorConfig& c) { return std::make_unique<DataParallelExecutor>(c); }}));

}  // namespace
}  // namespace wde
