#include "server/net/signals.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <stdexcept>
#include <utility>

namespace wde::server {
namespace {

constexpr std::array<int, 3> kSignals = {SIGTERM, SIGINT, SIGHUP};
constexpr int kLastMilliseconds = 2000;
constexpr unsigned char kEnd = 0;  // what the destructor writes; no signal's number

int reading_end = -1;
volatile sig_atomic_t writing_end = -1;

void on_signal(int signal) {
  const int saved = errno;
  const auto byte = static_cast<unsigned char>(signal);
  // A pipe that is full has enough signals in it.
  (void)!::write(writing_end, &byte, 1);
  errno = saved;
}

void set_handlers(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  for (int signal : kSignals) (void)::sigaction(signal, &action, nullptr);
}

}  // namespace

HeldSignals::HeldSignals() {
  sigset_t held;
  ::sigemptyset(&held);
  for (int signal : kSignals) ::sigaddset(&held, signal);
  (void)::pthread_sigmask(SIG_BLOCK, &held, &before_);
}

HeldSignals::~HeldSignals() { (void)::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

Signals::Signals(Actions actions) : actions_(std::move(actions)) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("there is no file descriptor left for signals");
  (void)::fcntl(ends[1], F_SETFL, O_NONBLOCK);
  reading_end = ends[0];
  writing_end = ends[1];
  thread_.start("wde-signals", [this] { run(); });
  set_handlers(on_signal);
}

Signals::~Signals() {
  set_handlers(SIG_DFL);
  (void)!::write(writing_end, &kEnd, 1);
  thread_.join();
  ::close(reading_end);
  ::close(writing_end);
}

void Signals::run() {
  int heard = 0;  // of SIGTERM and SIGINT
  for (;;) {
    pollfd readable{reading_end, POLLIN, 0};
    const int ready = ::poll(&readable, 1, heard < 2 ? -1 : kLastMilliseconds);
    if (ready < 0) continue;
    if (ready == 0) ::_exit(1);
    unsigned char signal = kEnd;
    if (::read(reading_end, &signal, 1) != 1) continue;
    if (signal == kEnd) return;
    if (signal == SIGHUP) {
      actions_.hangup();
      continue;
    }
    ++heard;
    if (heard == 1) actions_.first();
    if (heard == 2) actions_.second();
    if (heard > 2) ::_exit(1);
  }
}

}  // namespace wde::server
