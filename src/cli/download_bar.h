// DownloadBar: a line on the terminal that says how far a model's download is. Where there is no terminal, nothing.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "wde/hub.h"

namespace wde::cli {

std::string format_bytes(uint64_t bytes);  // "519 B", "31.8 MB", "1.34 GB"
// "[#######-------------]  35%  31.8 MB of 90.9 MB  12.3 MB/s  0:05 left  model.safetensors", cut to `width` columns.
// `per_second`: 0 where it is not known yet.
std::string format_download(const DownloadProgress& progress, double per_second, size_t width);

class DownloadBar {
 public:
  DownloadBar();
  ~DownloadBar();  // clears the line
  DownloadBar(const DownloadBar&) = delete;
  DownloadBar& operator=(const DownloadBar&) = delete;

  void update(const DownloadProgress& progress);

 private:
  using Clock = std::chrono::steady_clock;
  void clear();

  bool shown_;
  bool drawn_ = false;
  Clock::time_point started_;
  Clock::time_point last_drawn_{};
  std::optional<uint64_t> first_bytes_;  // that were there before: they say nothing of the speed
  Clock::time_point first_time_{};
};

// Draws a bar of its own, which is gone when the last copy of the callback is.
DownloadCallback download_bar();

}  // namespace wde::cli
