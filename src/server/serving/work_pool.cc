#include "server/serving/work_pool.h"

#include <utility>

namespace wde::server {

WorkPool::WorkPool(const ThreadGroup::Label& label, size_t threads) {
  threads_.start(label, threads, [this](size_t) { run(); });
}

bool WorkPool::post(std::function<void()> job) {
  {
    std::scoped_lock lock(mutex_);
    if (stopping_) return false;
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
  return true;
}

void WorkPool::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    auto job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    job = nullptr;
    lock.lock();
  }
}

void WorkPool::stop() {
  {
    std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  threads_.join();
}

}  // namespace wde::server
