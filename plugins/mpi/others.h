// The first process runs the program; the others belong to it: they make the engines that it makes, each with its own
// portion of the model, and compute when they are told to.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "execute/executor.h"
#include "message.h"
#include "wde/engine_args.h"

namespace wde::mpi {

// What the first process's executor has in each other process.
class Member {
 public:
  virtual ~Member() = default;
  virtual void compute(Reader& from) = 0;
};

// The executors' part in the making of an engine. portion(), in the first process, has the others make it too; Place is
// made in the executor's constructor and tells there which engine it is, in all processes.
Portion portion(Portion::Of of, const EngineArgs& args);

class Place {
 public:
  // The first process's: waits until the others have made the engine; throws LoadError if one could not.
  // The others': this member computes what comes for the engine from now on.
  explicit Place(Member& member);
  ~Place();  // the first process's: the others' engines end too
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  uint32_t engine() const { return engine_; }
  int answer_tag() const;
  // What the others said of themselves.
  const std::vector<std::pair<std::string, std::string>>& facts() const { return facts_; }

 private:
  uint32_t engine_;
  std::vector<std::pair<std::string, std::string>> facts_;
};

// What begins a message that members of an engine are to compute.
Writer job_for(uint32_t engine);
void send_job(const Writer& job, int to);
void send_job_to_all(const Writer& job);  // of the first process

// The first process's program has ended: the others end too.
void dismiss_others();
// What the others do; does not return.
[[noreturn]] void belong_to_the_first();

}  // namespace wde::mpi
