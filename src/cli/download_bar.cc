#include "cli/download_bar.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "cli/bar.h"
#include "cli/output_sink.h"
#include "cli/printable.h"
#include "cli/progress.h"

namespace wde::cli {
namespace {

using Stage = DownloadProgress::Stage;

// Before, a line would only flicker: the Hub's answer takes a moment.
constexpr std::chrono::milliseconds kPatience{300};

// As huggingface_hub has it.
bool bars_are_off() {
  const char* value = std::getenv("HF_HUB_DISABLE_PROGRESS_BARS");
  const std::string_view text = value == nullptr ? "" : value;
  return text == "1" || text == "ON" || text == "YES" || text == "TRUE" || text == "true" || text == "True";
}

std::string_view stage_text(Stage stage) {
  switch (stage) {
    case Stage::kAsking:
      return "asking the Hub for ";
    case Stage::kWaiting:
      return "waiting for another process that downloads ";
    case Stage::kRetrying:
      return "the Hub broke off, trying again: ";
    case Stage::kChecking:
      return "checking ";
    default:
      return "";
  }
}

}  // namespace

std::string format_bytes(uint64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (bytes < 1000) return fmt::format("{} B", bytes);
  if (value < 999.95e3) return fmt::format("{:.1f} kB", value / 1e3);
  if (value < 999.95e6) return fmt::format("{:.1f} MB", value / 1e6);
  return fmt::format("{:.2f} GB", value / 1e9);
}

std::string format_download(const DownloadProgress& progress, double per_second, size_t width) {
  std::string line;
  const bool known = progress.total_bytes > 0;
  if (known) {
    const double fraction =
        std::clamp(static_cast<double>(progress.bytes) / static_cast<double>(progress.total_bytes), 0.0, 1.0);
    const auto cells = static_cast<size_t>(fraction * kBarCells);
    line = fmt::format("[{}{}] {:3.0f}%  {} of {}  ", std::string(cells, '#'), std::string(kBarCells - cells, '-'),
                       std::floor(fraction * 100), format_bytes(progress.bytes), format_bytes(progress.total_bytes));
  }
  if (progress.stage == Stage::kDownloading && per_second > 0) {
    line += format_bytes(static_cast<uint64_t>(std::min(per_second, 1e15))) + "/s  ";
    if (known && progress.total_bytes >= progress.bytes) {
      line += format_clock(static_cast<double>(progress.total_bytes - progress.bytes) / per_second) + " left  ";
    }
  }
  line += stage_text(progress.stage);
  line += printable(progress.file.empty() ? progress.repo : progress.file);
  if (line.size() > width) line.resize(width);
  return line;
}

DownloadBar::DownloadBar() : shown_(::isatty(STDERR_FILENO) == 1 && !bars_are_off()), started_(Clock::now()) {}

DownloadBar::~DownloadBar() { clear(); }

void DownloadBar::clear() {
  if (drawn_) (void)write_all(STDERR_FILENO, "\r\033[K");
  drawn_ = false;
}

void DownloadBar::update(const DownloadProgress& progress) {
  if (!shown_) return;
  const Clock::time_point now = Clock::now();
  if (progress.stage == Stage::kDone) {
    clear();
    const double seconds = std::chrono::duration<double>(now - started_).count();
    (void)write_all(STDERR_FILENO, fmt::format("{}: {} in {}\n", printable(progress.repo), format_bytes(progress.bytes),
                                               format_seconds(seconds)));
    return;
  }
  if (now - started_ < kPatience || now - last_drawn_ < kRedrawInterval) return;
  last_drawn_ = now;
  if (!first_bytes_ && progress.stage == Stage::kDownloading) {
    first_bytes_ = progress.bytes;
    first_time_ = now;
  }
  double per_second = 0;
  if (first_bytes_ && progress.bytes > *first_bytes_) {
    const double seconds = std::chrono::duration<double>(now - first_time_).count();
    if (seconds >= kSecondsBeforeGuess) per_second = static_cast<double>(progress.bytes - *first_bytes_) / seconds;
  }
  (void)write_all(STDERR_FILENO, "\r" + format_download(progress, per_second, terminal_width() - 1) + "\033[K");
  drawn_ = true;
}

DownloadCallback download_bar() {
  auto bar = std::make_shared<DownloadBar>();  // std::function must be copyable
  return [bar](const DownloadProgress& progress) { bar->update(progress); };
}

}  // namespace wde::cli
