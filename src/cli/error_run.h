// ErrorRun: errors of one kind that follow each other, so that an input of the wrong kind is not an error a line.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace wde::cli {

class ErrorRun {
 public:
  static constexpr uint64_t kShown = 20;

  // Counts the error; returns how many of its kind have come in a row. Numbers and quoted words do not make another
  // kind.
  uint64_t add(std::string_view problem);
  void end() { count_ = 0; }

 private:
  std::string kind_;
  uint64_t count_ = 0;
};

}  // namespace wde::cli
