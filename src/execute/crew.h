// Crew: a leader and the helpers that it has for one job. Made once a worker and used again and again, so that a helper
// that leaves late never touches freed memory.
#pragma once

#include "base/team.h"
#include "base/thread_group.h"

namespace wde {

class Crew final : public Team {
 public:
  // With an exchange, the crew of one of several processes.
  explicit Crew(Exchange* exchange = nullptr) : exchange_(exchange) {}
  size_t size() const override { return members_; }
  bool is_alone() const override { return exchange_ == nullptr; }

  // Leader, between jobs: so many helpers will call help(rank, ticket) with ranks 1, 2, …; returns the ticket.
  uint32_t gather(size_t helpers);
  // Leader, behind the job: sends the helpers away; returns when all have gone.
  void dismiss() noexcept;

  // Helper: takes part in every run of the job; returns when dismissed.
  void help(size_t rank, uint32_t ticket) noexcept;

 private:
  void run_call(Call call, const void* context) override;
  void start() noexcept;

  Exchange* const exchange_;
  size_t members_ = 1;
  Barrier barrier_;
  Call call_ = nullptr;  // nullptr: dismissed
  const void* context_ = nullptr;
  alignas(128) std::atomic<uint32_t> started_{0};  // counts runs and dismissals
  alignas(128) std::atomic<uint32_t> present_{0};  // helpers that have not left
};

// A crew whose helpers are threads of its own and stay.
class StandingCrew {
 public:
  explicit StandingCrew(size_t members, Exchange* exchange = nullptr);
  ~StandingCrew();  // not during a job
  Crew& crew() { return crew_; }

 private:
  Crew crew_;
  ThreadGroup helpers_;
};

}  // namespace wde
