// The processes that mpirun started together, and messages between them. Whatever goes wrong with one of them ends all:
// MPI sees to that, and mpirun.
#pragma once

#include <string>

#include "base/team.h"
#include "message.h"

namespace wde::mpi {

struct World {
  int rank = 0, size = 1;
  bool first() const { return rank == 0; }
  bool last() const { return rank + 1 == size; }
  int next() const { return (rank + 1) % size; }
};
const World& world();

void start();   // throws LoadError
void finish();  // called by all processes; returns when all have

// From whom a message may come: anybody.
constexpr int kAnyone = -1;

// Messages from one process to another with the same tag come in the order in which they were sent.
void send(const Bytes& bytes, int to, int tag);
// Waits for a message without keeping a processor busy.
void receive(Bytes& bytes, int from, int tag);

// The columns of a matrix, from all to all.
class ColumnExchange final : public Exchange {
 public:
  ColumnExchange();
  void gather(View<float> y, size_t unit) noexcept override;

 private:
  std::vector<float> own_, all_;
  std::vector<int> counts_, begins_;
};

std::string host_name();
// Ends all processes, with this sentence: for what went wrong in one while others wait for it.
[[noreturn]] void abort(const std::string& sentence) noexcept;

}  // namespace wde::mpi
