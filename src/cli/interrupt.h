// Interrupt: while it lives, the first SIGINT, SIGTERM or SIGHUP is only noted, so that what was computed can be
// written; the second ends the process at once. Signals that were ignored stay so (nohup).
#pragma once

#include <array>
#include <csignal>

namespace wde::cli {

class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  // The signal that came, 0: none yet.
  static int signal() noexcept;
  static const char* name(int signal) noexcept;
  // What a shell gives for a process that the signal ended.
  static int exit_status(int signal) noexcept { return 128 + signal; }

 private:
  std::array<struct sigaction, 3> before_ = {};
};

}  // namespace wde::cli
