// The two ways to divide a model.
#pragma once

#include "execute/executor.h"

namespace wde::mpi {

// Every process has some of the layers, and batches go from one to the next, several at a time.
ExecutorEntry pipeline_executor();
// Every process has its share of every layer's heads and columns, and all compute one batch together.
ExecutorEntry tensor_executor();

}  // namespace wde::mpi
