#include "base/thread_group.h"

#include <pthread.h>

#include <string>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "wde/result.h"

namespace wde {
namespace {

std::string refusal(const ThreadGroup::Label& label, size_t count, const char* reason) {
  std::string out = count == 1 ? fmt::format("cannot start a thread ({})", label.name)
                               : fmt::format("cannot start {} threads ({})", count, label.name);
  out += fmt::format(": {}; the limit is that of processes (ulimit -u, a cgroup's pids.max) or of memory", reason);
  if (count > 1 && label.flag[0] != '\0') out += fmt::format("; {} lowers their number", label.flag);
  return out;
}

}  // namespace

void ThreadGroup::open_gate(uint32_t how) noexcept {
  gate_.store(how, std::memory_order_release);
  gate_.notify_all();
}

void ThreadGroup::start(const Label& label, size_t count, std::function<void(size_t)> body) {
  body_ = std::move(body);
  gate_.store(kClosed, std::memory_order_relaxed);
  try {
    threads_.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      threads_.emplace_back([this, i] {
        gate_.wait(kClosed, std::memory_order_acquire);
        if (gate_.load(std::memory_order_acquire) == kRun) body_(i);
      });
      pthread_setname_np(threads_.back().native_handle(), label.name);
    }
  } catch (const std::system_error& error) {
    open_gate(kLeave);
    join();
    throw LoadError(refusal(label, count, error.code().message().c_str()));
  } catch (...) {  // std::bad_alloc
    open_gate(kLeave);
    join();
    throw;
  }
  open_gate(kRun);
}

void ThreadGroup::start(const char* name, std::function<void()> body) {
  start({name}, 1, [body = std::move(body)](size_t) { body(); });
}

void ThreadGroup::join() noexcept {
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

}  // namespace wde
