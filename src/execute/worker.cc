// cpu: executes on the calling thread.
#include "execute/executor.h"

namespace wde {

Registry<WorkerFactory>& workers() {
  static Registry<WorkerFactory> registry("worker");
  return registry;
}
Registry<ExecutorEntry>& executors() {
  static Registry<ExecutorEntry> registry("executor");
  return registry;
}

namespace {

class CpuWorker final : public Worker {
 public:
  CpuWorker(std::unique_ptr<Runner> runner, Trace* trace) : runner_(std::move(runner)), trace_(trace) {}

  void execute(Job& job, Team& team, LayerRange range) noexcept override {
    if (range.first == 0) {
      job.started = Clock::now();
      job.busy = {};
      job.error.clear();
    }
    const Clock::time_point begin = range.first == 0 ? job.started : Clock::now();
    const Trace::Span span(trace_, "execute", job.input.tokens());
    try {
      if (job.error.empty()) runner_->run(job.input, range, job.output, team);
    } catch (const std::exception& e) {
      job.error = e.what();
    } catch (...) {
      job.error = "the model's forward pass threw an unknown exception";
    }
    job.finished = Clock::now();
    job.busy += (job.finished - begin) * static_cast<Clock::rep>(team.size());
  }

 private:
  std::unique_ptr<Runner> runner_;
  Trace* trace_;
};

WDE_REGISTER(workers().add("cpu", [](std::unique_ptr<Runner> runner, Trace* trace) {
  return std::make_unique<CpuWorker>(std::move(runner), trace);
}));

}  // namespace
}  // namespace wde
