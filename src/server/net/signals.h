// Signals: hears SIGTERM, SIGINT and SIGHUP on a thread of its own, so that they are heard whatever the others hang in.
#pragma once

#include <functional>

#include "base/thread_group.h"

namespace wde::server {

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
