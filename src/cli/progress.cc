#include "cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "cli/bar.h"
#include "cli/output_sink.h"
#include "cli/printable.h"

namespace wde::cli {
namespace {

std::string_view plural(uint64_t count) { return count == 1 ? "" : "s"; }

// Past the C++ streams: a closed stderr must not trouble anybody.
void print_stderr(std::string_view text) { (void)write_all(STDERR_FILENO, text); }

}  // namespace

std::string format_count(uint64_t count) {
  std::string digits = fmt::format("{}", count);
  for (size_t i = digits.size(); i > 3;) {
    i -= 3;
    digits.insert(i, 1, ',');
  }
  return digits;
}

std::string format_rate(double per_second) {
  if (!std::isfinite(per_second) || per_second < 0) return "0";
  if (per_second < 0.995) return fmt::format("{:.2f}", per_second);
  if (per_second < 9.95) return fmt::format("{:.1f}", per_second);
  return format_count(static_cast<uint64_t>(std::min(std::round(per_second), 1e18)));
}

std::string format_seconds(double seconds) {
  if (seconds < 0.995) return fmt::format("{:.2f} s", std::max(0.0, seconds));
  if (seconds < 99.95) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<uint64_t>(std::round(seconds));
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
}

std::string format_clock(double seconds) {
  const auto whole = static_cast<uint64_t>(std::clamp(std::ceil(seconds), 0.0, 3.6e8));
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole % 3600 / 60, whole % 60);
}

std::string format_progress(const ProgressState& state, size_t width) {
  std::string line;
  const double seconds = std::max(state.seconds, 1e-9);
  if (state.fraction) {
    const double fraction = std::clamp(*state.fraction, 0.0, 1.0);
    const auto cells = static_cast<size_t>(fraction * kBarCells);
    line = fmt::format("[{}{}] {:3.0f}%  ", std::string(cells, '#'), std::string(kBarCells - cells, '-'),
                       std::floor(fraction * 100));
  }
  const auto texts = static_cast<double>(state.texts);
  line += fmt::format("{} text{}  {} texts/s  {} tokens/s", format_count(state.texts), plural(state.texts),
                      format_rate(texts / seconds), format_rate(static_cast<double>(state.tokens) / seconds));
  if (state.failed > 0) line += fmt::format("  {} failed", format_count(state.failed));
  if (state.fraction && *state.fraction > 0 && state.seconds >= kSecondsBeforeGuess) {
    line += fmt::format("  {} left", format_clock(state.seconds * (1 - *state.fraction) / *state.fraction));
  }
  if (line.size() > width) line.resize(width);
  return line;
}

std::string format_summary(const ProgressState& state) {
  const double seconds = std::max(state.seconds, 1e-9);
  std::string line =
      fmt::format("{} text{}, {} token{} in {} ({} texts/s)", format_count(state.texts), plural(state.texts),
                  format_count(state.tokens), plural(state.tokens), format_seconds(state.seconds),
                  format_rate(static_cast<double>(state.texts) / seconds));
  if (state.failed > 0) line += fmt::format(", {} failed", format_count(state.failed));
  return line;
}

Progress::Progress(bool shown, std::string command, std::optional<uint64_t> total_bytes)
    : shown_(shown), command_(std::move(command)), total_bytes_(total_bytes) {}

void Progress::start() { started_ = Clock::now(); }

void Progress::row(uint64_t tokens, bool failed, uint64_t consumed_bytes) {
  ++state_.texts;
  state_.tokens += tokens;
  state_.failed += failed ? 1 : 0;
  if (total_bytes_ && *total_bytes_ > 0) {
    state_.fraction = static_cast<double>(consumed_bytes) / static_cast<double>(*total_bytes_);
  }
  tick();
}

void Progress::tick() {
  if (!shown_) return;
  const Clock::time_point now = Clock::now();
  if (now - last_drawn_ < kRedrawInterval) return;
  last_drawn_ = now;
  state_.seconds = std::chrono::duration<double>(now - started_).count();
  print_stderr("\r" + format_progress(state_, terminal_width() - 1) + "\033[K");
  drawn_ = true;
}

void Progress::clear() {
  if (drawn_) print_stderr("\r\033[K");
  drawn_ = false;
}

void Progress::finish() {
  if (!shown_) return;
  clear();
  state_.seconds = std::chrono::duration<double>(Clock::now() - started_).count();
  print_stderr(format_summary(state_) + "\n");
}

void Progress::message(std::string_view sentence) {
  clear();
  last_drawn_ = {};
  print_stderr(fmt::format("wde {}: {}\n", command_, printable(sentence)));
}

}  // namespace wde::cli
