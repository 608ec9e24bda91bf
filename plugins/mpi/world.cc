#include "world.h"

#include <mpi.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "wde/result.h"

namespace wde::mpi {
namespace {

using std::chrono::microseconds;
using std::chrono::steady_clock;

// One piece of a message; MPI counts in int.
constexpr size_t kPiece = size_t{1} << 30;
// Floats of a matrix that go around at a time, 16 MiB.
constexpr size_t kGathered = size_t{4} << 20;
// How long a process looks out for another before it sleeps in between. MPI's own waiting never sleeps: a process that
// has nothing to do, or is ahead of the next one, would take its processor from others.
constexpr microseconds kLookout{200}, kNap{1000};

World the_world;

// Asks happened() until it says so.
template <class F>
void wait_until(const F& happened) {
  const auto begin = steady_clock::now();
  while (!happened()) {
    const auto waited = steady_clock::now() - begin;
    if (waited < kLookout) {
      sched_yield();
    } else {
      std::this_thread::sleep_for(std::min<steady_clock::duration>(waited / 4, kNap));
    }
  }
}

// f(begin, size, request) starts what is done with one piece of a message.
template <class F>
void in_pieces(size_t size, const F& f) {
  for (size_t at = 0; at < size; at += kPiece) {
    MPI_Request request = MPI_REQUEST_NULL;
    f(at, static_cast<int>(std::min(kPiece, size - at)), &request);
    wait_until([&] {
      int done = 0;
      MPI_Test(&request, &done, MPI_STATUS_IGNORE);
      return done != 0;
    });
  }
}

}  // namespace

const World& world() { return the_world; }

void start() {
  int running = 0, given = 0;
  MPI_Initialized(&running);
  if (running != 0) throw LoadError("mpi.so: this program uses MPI itself");
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &given);
  if (given != MPI_THREAD_MULTIPLE)
    throw LoadError("mpi.so: this MPI does not let several threads communicate at once");
  MPI_Comm_rank(MPI_COMM_WORLD, &the_world.rank);
  MPI_Comm_size(MPI_COMM_WORLD, &the_world.size);
}

void finish() { MPI_Finalize(); }

void send(const Bytes& bytes, int to, int tag) {
  const uint64_t size = bytes.size();
  MPI_Send(&size, 1, MPI_UINT64_T, to, tag, MPI_COMM_WORLD);
  in_pieces(bytes.size(), [&](size_t at, int count, MPI_Request* request) {
    MPI_Isend(bytes.data() + at, count, MPI_BYTE, to, tag, MPI_COMM_WORLD, request);
  });
}

void receive(Bytes& bytes, int from, int tag) {
  MPI_Status status;
  wait_until([&] {
    int there = 0;
    MPI_Iprobe(from == kAnyone ? MPI_ANY_SOURCE : from, tag, MPI_COMM_WORLD, &there, &status);
    return there != 0;
  });
  from = status.MPI_SOURCE;
  uint64_t size = 0;
  MPI_Recv(&size, 1, MPI_UINT64_T, from, tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  bytes.resize(size);
  in_pieces(bytes.size(), [&](size_t at, int count, MPI_Request* request) {
    MPI_Irecv(bytes.data() + at, count, MPI_BYTE, from, tag, MPI_COMM_WORLD, request);
  });
}

ColumnExchange::ColumnExchange()
    : Exchange(static_cast<size_t>(world().rank), static_cast<size_t>(world().size)), counts_(size_), begins_(size_) {}

void ColumnExchange::gather(View<float> y, size_t unit) noexcept {
  const size_t rows_at_once = std::max<size_t>(1, kGathered / std::max<size_t>(1, y.cols));
  const Range mine = columns(y.cols, unit);
  for (size_t first = 0; first < y.rows; first += rows_at_once) {
    const View<float> rows = y.slice_rows(first, std::min(rows_at_once, y.rows - first));
    if (all_.size() < rows.rows * rows.cols) all_.resize(rows.rows * rows.cols);
    if (own_.size() < rows.rows * mine.size()) own_.resize(rows.rows * mine.size());
    for (size_t r = 0; r < rows.rows; ++r)
      std::copy_n(rows.row(r) + mine.begin, mine.size(), own_.data() + r * mine.size());
    for (size_t rank = 0; rank < size_; ++rank) {
      const Range range = share_of(y.cols, unit, rank, size_);
      counts_[rank] = static_cast<int>(rows.rows * range.size());
      begins_[rank] = static_cast<int>(rows.rows * range.begin);
    }
    MPI_Allgatherv(own_.data(), counts_[rank_], MPI_FLOAT, all_.data(), counts_.data(), begins_.data(), MPI_FLOAT,
                   MPI_COMM_WORLD);
    for (size_t rank = 0; rank < size_; ++rank) {
      if (rank == rank_) continue;
      const Range range = share_of(y.cols, unit, rank, size_);
      const float* const from = all_.data() + rows.rows * range.begin;
      for (size_t r = 0; r < rows.rows; ++r)
        std::copy_n(from + r * range.size(), range.size(), rows.row(r) + range.begin);
    }
  }
}

std::string host_name() {
  char name[MPI_MAX_PROCESSOR_NAME];
  int length = 0;
  MPI_Get_processor_name(name, &length);
  return {name, static_cast<size_t>(length)};
}

void abort(const std::string& sentence) noexcept {
  std::fprintf(stderr, "wde: process %d of %d: %s\n", world().rank, world().size, sentence.c_str());
  std::fflush(nullptr);
  MPI_Abort(MPI_COMM_WORLD, 1);
  std::abort();
}

}  // namespace wde::mpi
