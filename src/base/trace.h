// Trace: what every thread did when, in Chrome's trace format (chrome://tracing, ui.perfetto.dev), a row a thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace wde {

class Trace {
 public:
  // Throws LoadError if the file cannot be written.
  explicit Trace(std::string file);
  ~Trace();  // writes it

  // A stretch of the calling thread's time; `items`: texts or tokens, 0 for none.
  class Span {
   public:
    Span(Trace* trace, const char* name, size_t items = 0)
        : trace_(trace), name_(name), items_(items), begin_(std::chrono::steady_clock::now()) {}
    ~Span() {
      if (trace_ != nullptr) trace_->add(name_, begin_, items_);
    }
    Span(const Span&) = delete;
    Span& operator=(const Span&) = delete;

   private:
    Trace* trace_;
    const char* name_;
    size_t items_;
    std::chrono::steady_clock::time_point begin_;
  };

 private:
  struct Event {
    const char* name;
    int thread;
    size_t items;
    double begin, duration;  // microseconds
  };
  void add(const char* name, std::chrono::steady_clock::time_point begin, size_t items) noexcept;

  static constexpr size_t kMaxEvents = 1 << 20;  // a long run's trace ends there

  std::string file_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::mutex mutex_;
  std::vector<Event> events_;
  std::vector<std::pair<int, std::string>> threads_;
};

}  // namespace wde
