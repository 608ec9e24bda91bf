// Adds a runner that fails in one of the processes that mpirun started, FAIL_RANK, where FAIL_AT says: "load", "run",
// or "crash", which ends the process.
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "execute/runner.h"
#include "wde/plugin.h"

namespace {

void fail(const std::string& at) {
  const char *const where = std::getenv("FAIL_AT"), *const rank = std::getenv("FAIL_RANK"),
                    *const own = std::getenv("OMPI_COMM_WORLD_RANK");
  if (where == nullptr || rank == nullptr || own == nullptr || std::string(rank) != own) return;
  if (at == "run" && std::string(where) == "crash") std::raise(SIGKILL);
  if (at == where) throw std::runtime_error("the runner was told to fail at " + at);
}

class Failing final : public wde::Runner {
 public:
  explicit Failing(const wde::RunnerConfig& config) : runner_(wde::runners().get("cpu")(config)) { fail("load"); }
  void run(const wde::ModelInput& input, wde::LayerRange range, wde::ModelOutput& output, wde::Team& team) override {
    fail("run");
    runner_->run(input, range, output, team);
  }

 private:
  std::unique_ptr<wde::Runner> runner_;
};

}  // namespace

WDE_PLUGIN() {
  wde::runners().add("failing", [](const wde::RunnerConfig& config) { return std::make_unique<Failing>(config); });
}
