// Progress: one line on a terminal that says how far the work is, and a closing line. Everyone else sees nothing.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace wde::cli {

struct ProgressState {
  uint64_t texts = 0;
  uint64_t failed = 0;
  uint64_t tokens = 0;
  double seconds = 0;
  std::optional<double> fraction;  // of the input, where its size is known
};

std::string format_count(uint64_t count);    // "1,234,567"
std::string format_rate(double per_second);  // "0.42", "7.3", "1,234"
std::string format_seconds(double seconds);  // "0.25 s", "5.2 s", "3 min 12 s", "2 h 05 min"
std::string format_clock(double seconds);    // "0:07", "12:34", "1:02:03"
// "[#######-------------]  35%  12,345 texts  192 texts/s  17,000 tokens/s  0:32 left", cut to `width` columns.
std::string format_progress(const ProgressState& state, size_t width);
// "1,000 texts, 90,123 tokens in 5.2 s (192 texts/s)", with ", 3 failed" where some did.
std::string format_summary(const ProgressState& state);

// All calls come from one thread (the one that writes).
class Progress {
 public:
  // Not shown: every call does nothing, but message(), which prints on stderr in any case.
  Progress(bool shown, std::string command, std::optional<uint64_t> total_bytes);

  bool shown() const { return shown_; }
  void start();
  void row(uint64_t tokens, bool failed, uint64_t consumed_bytes);
  void tick();    // redraws, if 0.1 s have gone since the last time
  void finish();  // clears the bar and prints the summary
  // A sentence on stderr, above the bar.
  void message(std::string_view sentence);

 private:
  using Clock = std::chrono::steady_clock;
  void clear();

  bool shown_;
  bool drawn_ = false;
  std::string command_;
  std::optional<uint64_t> total_bytes_;
  ProgressState state_;
  Clock::time_point started_{};
  Clock::time_point last_drawn_{};
};

}  // namespace wde::cli
