#include "execute/crew.h"

#include "base/cpu.h"

namespace wde {

uint32_t Crew::gather(size_t helpers) {
  members_ = helpers + 1;
  barrier_.reset(members_);
  present_.store(static_cast<uint32_t>(helpers), std::memory_order_relaxed);
  return started_.load(std::memory_order_relaxed);
}

void Crew::start() noexcept {
  started_.fetch_add(1, std::memory_order_release);
  started_.notify_all();
}

void Crew::run_call(Call call, const void* context) {
  if (members_ == 1) return call(context, Part{0, 1, nullptr, exchange_});
  call_ = call;
  context_ = context;
  start();
  call(context, Part{0, members_, &barrier_, exchange_});
  barrier_.arrive_and_wait();
}

void Crew::dismiss() noexcept {
  if (members_ == 1) return;
  call_ = nullptr;
  start();
  for (uint32_t here; (here = present_.load(std::memory_order_acquire)) != 0;) wait_for_change(present_, here);
  members_ = 1;
}

void Crew::help(size_t rank, uint32_t ticket) noexcept {
  for (;; ++ticket) {
    wait_for_change(started_, ticket);
    if (call_ == nullptr) break;
    call_(context_, Part{rank, members_, &barrier_, exchange_});
    barrier_.arrive_and_wait();
  }
  present_.fetch_sub(1, std::memory_order_release);
  present_.notify_all();
}

StandingCrew::StandingCrew(size_t members, Exchange* exchange) : crew_(exchange) {
  if (members < 2) return;
  const uint32_t ticket = crew_.gather(members - 1);
  helpers_.start({"wde-member", "--workers"}, members - 1, [this, members, ticket](size_t i) {
    place_this_thread(i + 1, members);
    crew_.help(i + 1, ticket);
  });
}

StandingCrew::~StandingCrew() {
  crew_.dismiss();
  helpers_.join();
}

}  // namespace wde
