// ThreadGroup: named threads that begin together and are joined together. Either all of them run or none does: where
// the system refuses one, those that were made end without having run, and start() throws.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace wde {

class ThreadGroup {
 public:
  ThreadGroup() = default;
  ~ThreadGroup() { join(); }  // the owner has told them to return
  ThreadGroup(const ThreadGroup&) = delete;
  ThreadGroup& operator=(const ThreadGroup&) = delete;

  struct Label {
    const char* name;       // of the threads, for ps and debuggers: at most 15 bytes
    const char* flag = "";  // the flag that lowers their number, for the message; "": there is none
  };
  // Calls body(i) on thread i of `count`. Once between joins. Throws LoadError: the system has not enough threads.
  void start(const Label& label, size_t count, std::function<void(size_t)> body);
  // The same with a single thread.
  void start(const char* name, std::function<void()> body);

  // Returns when all have returned. Does nothing where none runs.
  void join() noexcept;

 private:
  enum : uint32_t { kClosed, kRun, kLeave };
  void open_gate(uint32_t how) noexcept;

  std::function<void(size_t)> body_;
  std::atomic<uint32_t> gate_{kClosed};
  std::vector<std::thread> threads_;
};

}  // namespace wde
