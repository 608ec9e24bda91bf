#include "base/thread_group.h"
#include "execute/crew.h"
#include "execute/job_queue.h"
#include "executors.h"
#include "others.h"
#include "world.h"

namespace wde::mpi {
namespace {

class TensorExecutor final : public Executor, public Member {
 public:
  explicit TensorExecutor(const ExecutorConfig& config)
      : worker_(config.make_worker()),
        done_(config.done),
        team_(config.workers, world().size > 1 ? &exchange_ : nullptr),
        place_(*this) {
    if (world().first()) computing_.start("wde-mpi", [this] { compute_all(); });
  }

  ~TensorExecutor() override {
    queue_.close();
    computing_.join();
  }

  size_t workers() const override { return 1; }
  size_t capacity() const override { return 2; }  // one is computed, one is ready
  void submit(std::unique_ptr<Job> job) override { queue_.push(std::move(job)); }
  bool takes_jobs() const override { return world().first(); }
  std::vector<std::pair<std::string, std::string>> facts() const override { return place_.facts(); }

  void compute(Reader& from) override {
    get_input(from, job_.input);
    execute(job_);
  }

 private:
  // What goes wrong here may not go wrong in the others, which then wait for this process's columns.
  void execute(Job& job) {
    worker_->execute(job, team_.crew());
    if (!job.error.empty() && world().size > 1) abort(job.error);
  }

  void compute_all() {
    while (std::unique_ptr<Job> job = queue_.pop()) {
      Writer out = job_for(place_.engine());
      put_input(out, job->input);
      {
        // All processes compute one job at a time, whichever engine's it is.
        static std::mutex computing;
        std::scoped_lock lock(computing);
        send_job_to_all(out);
        execute(*job);
      }
      done_(std::move(job));
    }
  }

  ColumnExchange exchange_;
  std::unique_ptr<Worker> worker_;
  Completion done_;
  StandingCrew team_;
  Place place_;
  Job job_;  // the others'
  JobQueue queue_;
  ThreadGroup computing_;
};

}  // namespace

ExecutorEntry tensor_executor() {
  return {"async", [](const ExecutorConfig& config) { return std::make_unique<TensorExecutor>(config); },
          [](const EngineArgs& args) { return portion(Portion::Of::kColumns, args); }};
}

}  // namespace wde::mpi
