// Repeats: which of many equal lines a log gets: the first few of every window of time, and how many there were more.
// Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

namespace wde::server {

class Repeats {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kWindow{10};
  static constexpr uint64_t kLines = 20;  // of each kind and window
  static constexpr size_t kKinds = 64;    // all others share one

  struct LeftOut {
    std::string kind;
    uint64_t lines = 0;
  };

  // False: this line is one too many.
  bool allow(const std::string& kind, Time now);
  // What was left out in windows that are over; `last`: in all.
  std::vector<LeftOut> take_left_out(Time now, bool last);
  uint64_t left_out() const;  // ever

 private:
  struct Window {
    Time begin;
    uint64_t lines = 0;
  };

  mutable std::mutex mutex_;
  std::unordered_map<std::string, Window> windows_;
  uint64_t left_out_ = 0;
};

}  // namespace wde::server
