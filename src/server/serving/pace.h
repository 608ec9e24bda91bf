// Pace: how long work takes, learned from how fast it was done. What a token costs is measured
// only while there is enough to do for all workers; before that, a guess stands for it. Not thread-safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <string>

namespace wde::server {

class Pace {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // Work of one kind (a model's, for one sort of task) that now waits. `guess`: seconds a token.
  void enter(const std::string& kind, size_t tokens, double guess, Time now);
  // So much of it has been computed.
  void done(const std::string& kind, size_t tokens, Time now);
  // So much of it will not be.
  void leave(size_t tokens, Time now);

  double seconds(const std::string& kind, size_t tokens, double guess) const;
  // At the best pace that was ever seen or guessed, however slow it is now.
  double least_seconds(const std::string& kind, size_t tokens, double guess) const;
  bool measured(const std::string& kind) const;

 private:
  struct Kind {
    double cost = 0;  // seconds a token
    double least = 0;
    bool measured = false;
    size_t finished = 0;  // tokens, since the measurement began
  };

  void measure(Time now, double shortest);

  std::map<std::string, Kind> kinds_;
  size_t left_ = 0;  // tokens to be computed
  bool measuring_ = false;
  Time since_;
};

}  // namespace wde::server
