#include "cli/interrupt.h"

#include <unistd.h>

#include <atomic>
#include <utility>

namespace wde::cli {
namespace {

constexpr std::array<std::pair<int, const char*>, 3> kSignals = {
    {{SIGINT, "SIGINT"}, {SIGTERM, "SIGTERM"}, {SIGHUP, "SIGHUP"}}};
std::atomic<int> noted{0};

void note(int signal) {
  if (noted.exchange(signal) != 0) ::_exit(Interrupt::exit_status(signal));
}

}  // namespace

Interrupt::Interrupt() {
  noted = 0;
  for (size_t i = 0; i < kSignals.size(); ++i) {
    struct sigaction action {};
    action.sa_handler = note;
    action.sa_flags = SA_RESTART;
    ::sigaction(kSignals[i].first, nullptr, &before_[i]);
    if (before_[i].sa_handler != SIG_IGN) ::sigaction(kSignals[i].first, &action, nullptr);
  }
}

Interrupt::~Interrupt() {
  for (size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i].first, &before_[i], nullptr);
}

int Interrupt::signal() noexcept { return noted.load(); }

const char* Interrupt::name(int signal) noexcept {
  for (const auto& [number, name] : kSignals) {
    if (number == signal) return name;
  }
  return "a signal";
}

}  // namespace wde::cli
