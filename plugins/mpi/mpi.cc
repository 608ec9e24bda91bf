// The plug-in mpi: models that are divided among processes, on one machine or on several, for those that outgrow a
// machine's memory. All processes load the plug-in; the first one goes on as the program, the others stay here.
//
//   mpirun -np 2 wde embed --plugin mpi.so --executor mpi_tensor --model M --input texts.jsonl
#include <cstdlib>

#include "executors.h"
#include "others.h"
#include "wde/plugin.h"
#include "world.h"

WDE_PLUGIN() {
  using namespace wde::mpi;
  start();
  wde::executors().add("mpi_pipeline", pipeline_executor());
  wde::executors().add("mpi_tensor", tensor_executor());
  if (!world().first()) belong_to_the_first();
  std::atexit(dismiss_others);
}
