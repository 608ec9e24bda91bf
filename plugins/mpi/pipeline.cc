#include "base/thread_group.h"
#include "execute/crew.h"
#include "execute/job_queue.h"
#include "executors.h"
#include "others.h"
#include "world.h"

namespace wde::mpi {
namespace {

LayerRange layers_here(size_t layers) {
  const Range range = share_of(layers, 1, static_cast<size_t>(world().rank), static_cast<size_t>(world().size));
  // The last one ends where the model ends, and writes the output.
  return {range.begin, world().last() ? LayerRange{}.last : range.end};
}

class Pipeline final : public Executor, public Member {
 public:
  explicit Pipeline(const ExecutorConfig& config)
      : range_(layers_here(config.layers)),
        worker_(config.make_worker()),
        done_(config.done),
        team_(config.workers),
        place_(*this) {
    if (!world().first()) return;
    threads_.start({"wde-mpi"}, 2, [this](size_t i) { i == 0 ? compute_first_layers() : answer(); });
  }

  ~Pipeline() override {
    queue_.close();
    threads_.join();
  }

  size_t workers() const override { return static_cast<size_t>(world().size); }
  size_t capacity() const override { return 2 * static_cast<size_t>(world().size); }
  void submit(std::unique_ptr<Job> job) override { queue_.push(std::move(job)); }
  bool takes_jobs() const override { return world().first(); }
  std::vector<std::pair<std::string, std::string>> facts() const override { return place_.facts(); }

  // The layers of one of the others.
  void compute(Reader& from) override {
    get_unfinished(from, job_);
    worker_->execute(job_, team_.crew(), range_);
    if (!world().last()) return send_job(unfinished(job_), world().next());
    Writer out;
    put_answer(out, job_);
    send(out.bytes(), 0, place_.answer_tag());
  }

 private:
  Writer unfinished(Job& job) const {
    Writer out = job_for(place_.engine());
    put_unfinished(out, job);
    return out;
  }

  void compute_first_layers() {
    while (std::unique_ptr<Job> job = queue_.pop()) {
      worker_->execute(*job, team_.crew(), range_);
      if (world().last()) {
        done_(std::move(job));
        continue;
      }
      const Writer out = unfinished(*job);
      away_.push(std::move(job));
      send_job(out, world().next());
    }
    away_.close();
  }

  // What comes back, in the order in which it went away.
  void answer() {
    while (std::unique_ptr<Job> job = away_.pop()) {
      Bytes bytes;
      receive(bytes, world().size - 1, place_.answer_tag());
      try {
        Reader from(bytes);
        get_answer(from, *job);
      } catch (const std::exception& error) {
        job->error = error.what();
      }
      job->finished = Clock::now();
      done_(std::move(job));
    }
  }

  LayerRange range_;
  std::unique_ptr<Worker> worker_;
  Completion done_;
  StandingCrew team_;
  Place place_;
  Job job_;  // the others'
  JobQueue queue_, away_;
  ThreadGroup threads_;
};

}  // namespace

ExecutorEntry pipeline_executor() {
  return {"async", [](const ExecutorConfig& config) { return std::make_unique<Pipeline>(config); },
          [](const EngineArgs& args) { return portion(Portion::Of::kLayers, args); }};
}

}  // namespace wde::mpi
