// JobQueue: jobs from one thread to another, in order.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>

#include "stage/job.h"

namespace wde {

class JobQueue {
 public:
  void push(std::unique_ptr<Job> job) {
    {
      std::scoped_lock lock(mutex_);
      jobs_.push_back(std::move(job));
    }
    wake_.notify_one();
  }

  // No more jobs will come; those that are there are still handed out.
  void close() {
    {
      std::scoped_lock lock(mutex_);
      closed_ = true;
    }
    wake_.notify_all();
  }

  // Waits for a job; nullptr: closed and empty.
  std::unique_ptr<Job> pop() {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return !jobs_.empty() || closed_; });
    if (jobs_.empty()) return nullptr;
    std::unique_ptr<Job> job = std::move(jobs_.front());
    jobs_.pop_front();
    return job;
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::unique_ptr<Job>> jobs_;
  bool closed_ = false;
};

}  // namespace wde
