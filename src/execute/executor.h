// Worker seam: runs jobs one after the other on a Runner of its own. Executor seam: which worker runs which job, on
// which thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/registry.h"
#include "base/trace.h"
#include "execute/runner.h"
#include "loader/portion.h"
#include "stage/job.h"
#include "wde/engine_args.h"

namespace wde {

class Worker {
 public:
  virtual ~Worker() = default;
  // Times the job and runs it on the team, whose first member is the calling thread; an exception of the pass becomes
  // Job::error. With a range, the layers of one pipeline stage; a job whose error is set passes through the others.
  virtual void execute(Job& job, Team& team, LayerRange range = {}) noexcept = 0;
};
using WorkerFactory = std::function<std::unique_ptr<Worker>(std::unique_ptr<Runner>, Trace*)>;  // no trace: nullptr
Registry<WorkerFactory>& workers();

// Called with every finished job; from a worker's thread, or inside submit() where there is none.
using Completion = std::function<void(std::unique_ptr<Job>)>;

struct ExecutorConfig {
  size_t workers = 1;
  size_t layers = 0;  // of the model
  std::function<std::unique_ptr<Worker>()> make_worker;
  Completion done;
};

class Executor {
 public:
  virtual ~Executor() = default;  // finishes its jobs
  virtual size_t workers() const = 0;
  // Jobs that may be in flight at once: the running ones and those kept ready.
  virtual size_t capacity() const = 0;
  virtual void submit(std::unique_ptr<Job> job) = 0;
  // False: another process's executor has the jobs, and this one computes what it is told to.
  virtual bool takes_jobs() const { return true; }
  // For EngineInfo::facts.
  virtual std::vector<std::pair<std::string, std::string>> facts() const { return {}; }
};

struct ExecutorEntry {
  std::string accepts;  // "sync": submit() returns when the job is done; "async": it returns at once
  std::function<std::unique_ptr<Executor>(const ExecutorConfig&)> create;
  // Where processes share a model: what this one keeps of the model of these settings. Called before it is loaded, so
  // that the others can load theirs meanwhile. nullptr: all of it.
  std::function<Portion(const EngineArgs&)> portion = nullptr;
};
Registry<ExecutorEntry>& executors();

}  // namespace wde
