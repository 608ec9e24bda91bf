// mpi_pipeline: the layers divided among processes, each of which loads its own alone; batches go from one process to
// the next, several at a time. The first process reads, tokenizes and answers. The others are taken over when their
// engine has loaded: they compute until the first one has ended, and end then.
//
//   mpirun -np 2 wde embed --plugin mpi.so --executor mpi_pipeline --model M --input texts.jsonl
#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <limits>
#include <mutex>
#include <thread>

#include "execute/executor.h"
#include "execute/job_queue.h"
#include "message.h"
#include "wde/plugin.h"
#include "wde/result.h"

namespace wde::mpi {
namespace {

// One piece of a message; MPI counts in int.
constexpr size_t kPiece = size_t{1} << 30;
constexpr int kTag = 1;

struct World {
  int rank = 0, size = 1;
  int next() const { return (rank + 1) % size; }
  int previous() const { return (rank + size - 1) % size; }
  bool first() const { return rank == 0; }
  bool last() const { return rank + 1 == size; }
};

World& world() {
  static World the;
  return the;
}

void start_mpi() {
  int given = 0;
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &given);
  if (given != MPI_THREAD_MULTIPLE)
    throw LoadError("mpi.so: this MPI does not let several threads communicate at once");
  MPI_Comm_rank(MPI_COMM_WORLD, &world().rank);
  MPI_Comm_size(MPI_COMM_WORLD, &world().size);
}

// An empty message says that no more will come. MPI ends all processes when anything goes wrong with one of them.
void send(const std::vector<char>& bytes, int to) {
  const uint64_t size = bytes.size();
  MPI_Send(&size, 1, MPI_UINT64_T, to, kTag, MPI_COMM_WORLD);
  for (size_t at = 0; at < bytes.size(); at += kPiece) {
    MPI_Send(bytes.data() + at, static_cast<int>(std::min(kPiece, bytes.size() - at)), MPI_BYTE, to, kTag,
             MPI_COMM_WORLD);
  }
}

void receive(std::vector<char>& bytes, int from) {
  uint64_t size = 0;
  MPI_Recv(&size, 1, MPI_UINT64_T, from, kTag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  bytes.resize(size);
  for (size_t at = 0; at < bytes.size(); at += kPiece) {
    MPI_Recv(bytes.data() + at, static_cast<int>(std::min(kPiece, bytes.size() - at)), MPI_BYTE, from, kTag,
             MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  }
}

LayerRange layers_of(size_t layers) {
  const auto rank = static_cast<size_t>(world().rank), size = static_cast<size_t>(world().size);
  if (layers < size) {
    throw UsageError("mpi_pipeline: there are more processes (" + std::to_string(size) + ") than layers (" +
                     std::to_string(layers) + ")");
  }
  LayerRange range{layers * rank / size, layers * (rank + 1) / size};
  // The last one ends where the model ends, and writes the output.
  if (world().last()) range.last = std::numeric_limits<size_t>::max();
  return range;
}

// Of all processes but the first; does not return.
[[noreturn]] void compute_for_others(Worker& worker, LayerRange range) {
  Team alone;
  Job job;
  for (std::vector<char> bytes;;) {
    receive(bytes, world().previous());
    if (bytes.empty()) break;
    from_previous(bytes, job);
    if (job.error.empty()) worker.execute(job, alone, range);
    send(world().last() ? to_first(job) : to_next(job), world().next());
  }
  send({}, world().next());
  MPI_Finalize();
  // The program around would go on to read its texts, which are the first process's.
  std::fflush(nullptr);
  ::_exit(0);
}

class PipelineOfProcesses final : public Executor {
 public:
  explicit PipelineOfProcesses(const ExecutorConfig& config)
      : range_(layers_of(config.layers)), worker_(config.make_worker()), done_(config.done) {
    if (!world().first()) compute_for_others(*worker_, range_);
    computing_ = std::thread([this] { compute(); });
    if (world().size > 1) answering_ = std::thread([this] { answer(); });
  }

  ~PipelineOfProcesses() override {
    queue_.close();
    computing_.join();
    if (answering_.joinable()) answering_.join();
    MPI_Finalize();
  }

  size_t workers() const override { return static_cast<size_t>(world().size); }
  size_t capacity() const override { return 2 * static_cast<size_t>(world().size); }
  void submit(std::unique_ptr<Job> job) override { queue_.push(std::move(job)); }

 private:
  // The first layers.
  void compute() {
    Team alone;
    while (std::unique_ptr<Job> job = queue_.pop()) {
      if (!job->input.parts.empty()) {
        job->error = "mpi_pipeline does not divide models with towers (CLIP); another executor does not need to";
        done_(std::move(job));
        continue;
      }
      worker_->execute(*job, alone, range_);
      if (world().size == 1) {
        done_(std::move(job));
        continue;
      }
      const std::vector<char> bytes = to_next(*job);
      away_.push(std::move(job));
      send(bytes, world().next());
    }
    if (world().size > 1) send({}, world().next());
    away_.close();
  }

  // What comes back, in the order in which it went away.
  void answer() {
    for (std::vector<char> bytes;;) {
      receive(bytes, world().previous());
      if (bytes.empty()) break;
      std::unique_ptr<Job> job = away_.pop();
      from_last(bytes, *job);
      job->finished = Clock::now();
      done_(std::move(job));
    }
  }

  LayerRange range_;
  std::unique_ptr<Worker> worker_;
  Completion done_;
  JobQueue queue_, away_;
  std::thread computing_, answering_;
};

std::unique_ptr<Executor> make(const ExecutorConfig& config) {
  static bool made = false;
  if (std::exchange(made, true)) throw UsageError("mpi_pipeline: one engine a process, and there was one");
  return std::make_unique<PipelineOfProcesses>(config);
}

}  // namespace
}  // namespace wde::mpi

WDE_PLUGIN() {
  wde::mpi::start_mpi();
  wde::executors().add("mpi_pipeline", {"async", wde::mpi::make, wde::mpi::layers_of});
}
