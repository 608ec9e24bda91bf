#include "base/trace.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>

#include "wde/result.h"

namespace wde {

Trace::Trace(std::string file) : file_(std::move(file)) {
  std::FILE* out = std::fopen(file_.c_str(), "w");
  if (out == nullptr) throw LoadError(fmt::format("{}: the trace cannot be written there", file_));
  std::fclose(out);
}

void Trace::add(const char* name, std::chrono::steady_clock::time_point begin, size_t items) noexcept {
  const auto micros = [](auto duration) { return std::chrono::duration<double, std::micro>(duration).count(); };
  const int thread = ::gettid();
  const auto end = std::chrono::steady_clock::now();
  std::scoped_lock lock(mutex_);
  if (events_.size() >= kMaxEvents) return;
  if (std::none_of(threads_.begin(), threads_.end(), [&](const auto& t) { return t.first == thread; })) {
    char thread_name[16] = "";
    pthread_getname_np(pthread_self(), thread_name, sizeof(thread_name));
    threads_.emplace_back(thread, thread_name);
  }
  events_.push_back({name, thread, items, micros(begin - start_), micros(end - begin)});
}

Trace::~Trace() {
  std::FILE* out = std::fopen(file_.c_str(), "w");
  if (out == nullptr) return;
  fmt::print(out, "{{\"traceEvents\":[\n");
  for (const auto& [thread, name] : threads_) {
    fmt::print(out,
               R"({{"ph":"M","pid":1,"tid":{},"name":"thread_name","args":{{"name":"{} {}"}}}},)"
               "\n",
               thread, name, thread);
  }
  for (const Event& e : events_) {
    fmt::print(out,
               R"({{"ph":"X","pid":1,"tid":{},"name":"{}","ts":{:.1f},"dur":{:.1f},"args":{{"items":{}}}}},)"
               "\n",
               e.thread, e.name, e.begin, e.duration, e.items);
  }
  fmt::print(out, R"({{"ph":"M","pid":1,"name":"process_name","args":{{"name":"wde"}}}}]}})"
                  "\n");
  std::fclose(out);
}

}  // namespace wde
