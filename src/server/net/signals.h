// Signals: hears SIGTERM, SIGINT and SIGHUP on a thread of its own, so that they are heard whatever the others hang in.
#pragma once

#include <csignal>
#include <functional>

#include "base/thread_group.h"

namespace wde::server {

// While it lives, these signals wait. Without it one that comes before Signals exists ends the process unheard.
class HeldSignals {
 public:
  HeldSignals();
  ~HeldSignals();
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;

 private:
  sigset_t before_{};
};

// One at a time: signals belong to the process.
class Signals {
 public:
  // All on the thread of the signals: return soon.
  struct Actions {
    std::function<void()> first;   // SIGTERM or SIGINT
    std::function<void()> second;  // another one. If this object then still lives after two seconds, or a third one
                                   // comes, the process ends with status 1, whatever it hangs in.
    std::function<void()> hangup;  // SIGHUP
  };
  explicit Signals(Actions actions);
  ~Signals();  // the signals end the process again
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

 private:
  void run();

  Actions actions_;
  ThreadGroup thread_;
};

}  // namespace wde::server
