// WorkPool: a few threads for what is too long for the network's thread and not the engine's: JSON, loading models.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>

#include "base/thread_group.h"

namespace wde::server {

class WorkPool {
 public:
  WorkPool(const ThreadGroup::Label& label, size_t threads);
  ~WorkPool() { stop(); }

  // False: stopped already; the job will not run.
  bool post(std::function<void()> job);
  // Does what was posted, then ends the threads.
  void stop();

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
  bool stopping_ = false;
  ThreadGroup threads_;
};

}  // namespace wde::server
