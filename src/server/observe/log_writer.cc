#include "server/observe/log_writer.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>

#include "base/thread_group.h"

namespace wde::server {
namespace {

constexpr size_t kMaxWaitingBytes = 4 << 20;
constexpr auto kTick = std::chrono::seconds(1);
constexpr auto kPause = std::chrono::milliseconds(20);
// How long the end of the program waits for a reader.
constexpr auto kLastWait = std::chrono::seconds(1);

// The bytes that standard error took.
size_t write_all(std::string_view text) {
  size_t taken = 0;
  bool again = false;
  while (taken < text.size()) {
    const ssize_t n = ::write(STDERR_FILENO, text.data() + taken, text.size() - taken);
    if (n > 0) {
      taken += static_cast<size_t>(n);
      again = false;
    } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      // Somebody else, who has the same pipe or terminal, does not want to wait for it.
      pollfd ready{STDERR_FILENO, POLLOUT, 0};
      (void)::poll(&ready, 1, -1);
      // "Ready", and yet it takes nothing: asking without a pause would keep a core busy.
      if (std::exchange(again, true)) std::this_thread::sleep_for(kPause);
    } else if (n == 0 || errno != EINTR) {
      break;
    }
  }
  return taken;
}

uint64_t lines_in(std::string_view text) { return static_cast<uint64_t>(std::count(text.begin(), text.end(), '\n')); }

}  // namespace

struct LogWriter::Shared {
  Callbacks callbacks;
  mutable std::mutex mutex;
  std::condition_variable wake, ended;
  std::string waiting;
  uint64_t dropped = 0;  // of all
  uint64_t untold = 0;   // of them, those that no line has spoken of
  bool stopping = false, done = false;
  ThreadGroup thread;            // ends first
  std::shared_ptr<Shared> self;  // where nobody else keeps it: as long as the program
};

LogWriter::LogWriter(Callbacks callbacks) : shared_(std::make_shared<Shared>()) {
  shared_->callbacks = std::move(callbacks);
  shared_->thread.start("wde-log", [shared = shared_.get()] { run(*shared); });
}

LogWriter::~LogWriter() {
  std::unique_lock lock(shared_->mutex);
  shared_->stopping = true;
  shared_->wake.notify_one();
  const bool done = shared_->ended.wait_for(lock, kLastWait, [this] { return shared_->done; });
  // The thread may never come back from its write: the callbacks of who ends now are not for it any more.
  shared_->callbacks = {};
  lock.unlock();
  if (done) {
    shared_->thread.join();
    return;
  }
  shared_->self = shared_;
}

void LogWriter::line(std::string text) {
  {
    std::scoped_lock lock(shared_->mutex);
    if (shared_->waiting.size() + text.size() > kMaxWaitingBytes) {
      const uint64_t lines = lines_in(text);
      shared_->dropped += lines;
      shared_->untold += lines;
      return;
    }
    shared_->waiting += text;
  }
  shared_->wake.notify_one();
}

uint64_t LogWriter::dropped() const {
  std::scoped_lock lock(shared_->mutex);
  return shared_->dropped;
}

void LogWriter::run(Shared& shared) {
  std::unique_lock lock(shared.mutex);
  bool last = false;
  while (!last) {
    shared.wake.wait_for(lock, kTick, [&] { return shared.stopping || !shared.waiting.empty(); });
    last = shared.stopping;
    std::string text;
    text.swap(shared.waiting);
    if (shared.callbacks.more) text += shared.callbacks.more(last);
    const uint64_t untold = std::exchange(shared.untold, 0);
    if (untold > 0 && shared.callbacks.about_dropped) text.insert(0, shared.callbacks.about_dropped(untold));
    if (text.empty()) continue;
    lock.unlock();
    const size_t taken = write_all(text);
    lock.lock();
    const uint64_t told = untold > 0 ? 1 : 0;
    const uint64_t lost = lines_in(std::string_view(text).substr(taken));
    // The line about dropped ones is not one of them; if it was lost, they are still to be told of.
    const bool nothing = taken == 0;
    shared.dropped += lost - (nothing ? told : 0);
    shared.untold += lost - (nothing ? told : 0) + (nothing ? untold : 0);
  }
  shared.done = true;
  shared.ended.notify_all();
}

}  // namespace wde::server
