// Arena: the activations of one forward pass. Matrices are handed out one behind the other and all taken back by
// reset(). Memory comes once: what reserve() asked for, or, if a pass needed more, what that pass needed (so the second
// such pass allocates nothing).
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "base/view.h"

namespace wde {

class Arena {
 public:
  // Untouched pages cost no memory, so a generous bound is free.
  void reserve(size_t floats) {
    if (floats > capacity_) {
      main_ = AlignedBuffer(floats * sizeof(float));
      capacity_ = floats;
    }
  }

  void reset() {
    if (!overflow_.empty()) {
      overflow_.clear();
      reserve(peak_ + peak_ / 4);
    }
    used_ = 0;
    total_ = 0;
  }

  float* floats(size_t count) {
    const size_t aligned = (count + 15) / 16 * 16;
    total_ += aligned;
    peak_ = std::max(peak_, total_);
    if (used_ + aligned <= capacity_) {
      float* out = main_.floats() + used_;
      used_ += aligned;
      return out;
    }
    overflow_.emplace_back(aligned * sizeof(float));
    return overflow_.back().floats();
  }

  // Contents are whatever an earlier pass left.
  View<float> matrix(size_t rows, size_t cols) {
    const size_t stride = padded_stride(cols);
    return {floats(rows * stride), rows, cols, stride};
  }

 private:
  AlignedBuffer main_;
  std::vector<AlignedBuffer> overflow_;
  size_t capacity_ = 0, used_ = 0, total_ = 0, peak_ = 0;  // floats
};

}  // namespace wde
