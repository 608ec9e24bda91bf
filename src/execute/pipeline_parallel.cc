// pipeline_parallel: each worker has a range of the layers, and batches go from one to the next, several at a time.
#include <algorithm>
#include <vector>

#include "base/thread_group.h"
#include "execute/executor.h"
#include "execute/job_queue.h"

namespace wde {
namespace {

class PipelineExecutor final : public Executor {
 public:
  explicit PipelineExecutor(const ExecutorConfig& config)
      : stages_(std::max<size_t>(1, std::min(config.workers, config.layers))), done_(config.done) {
    for (size_t i = 0; i < stages_.size(); ++i) {
      Stage& stage = stages_[i];
      stage.worker = config.make_worker();
      stage.range.first = config.layers * i / stages_.size();
      // The last one ends where the model ends, and writes the output.
      if (i + 1 < stages_.size()) stage.range.last = config.layers * (i + 1) / stages_.size();
    }
    threads_.start({"wde-stage", "--workers"}, stages_.size(), [this](size_t i) { run(i); });
  }

  ~PipelineExecutor() override {
    stages_.front().queue.close();
    threads_.join();
  }

  size_t workers() const override { return stages_.size(); }
  size_t capacity() const override { return 2 * stages_.size(); }
  void submit(std::unique_ptr<Job> job) override { stages_.front().queue.push(std::move(job)); }

 private:
  struct Stage {
    std::unique_ptr<Worker> worker;
    LayerRange range;
    JobQueue queue;
  };

  void run(size_t index) {
    Stage& stage = stages_[index];
    const bool last = index + 1 == stages_.size();
    Team alone;
    while (std::unique_ptr<Job> job = stage.queue.pop()) {
      stage.worker->execute(*job, alone, stage.range);
      if (last) {
        done_(std::move(job));
      } else {
        stages_[index + 1].queue.push(std::move(job));
      }
    }
    if (!last) stages_[index + 1].queue.close();
  }

  std::vector<Stage> stages_;
  Completion done_;
  ThreadGroup threads_;
};

WDE_REGISTER(executors().add("pipeline_parallel", {"async", [](const ExecutorConfig& config) {
                                                     return std::make_unique<PipelineExecutor>(config);
                                                   }}));

}  // namespace
}  // namespace wde
