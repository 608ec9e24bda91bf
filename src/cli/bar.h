// What the bars on a terminal share.
#pragma once

#include <sys/ioctl.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>

namespace wde::cli {

inline constexpr std::chrono::milliseconds kRedrawInterval{100};
inline constexpr size_t kBarCells = 20;
inline constexpr double kSecondsBeforeGuess = 1;  // before, the time that is left would be noise

inline size_t terminal_width() {
  winsize size = {};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace wde::cli
