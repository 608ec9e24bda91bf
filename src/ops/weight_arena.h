// WeightArena: memory of a model's packed weights, handed out from large chunks, so that all of them lie in huge pages.
// A small batch streams every weight from memory once; 4 KiB pages cost it 8 % (TLB misses, and hardware prefetching
// that stops at each page's end).
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "base/view.h"

namespace wde {

class WeightArena {
 public:
  // Layers' Linears have the format that the checkpoint's policy says; all others, those of heads and of constants that
  // are computed at load, are float32.
  enum class Use { kOther, kLayers };
  explicit WeightArena(Use use = Use::kOther) : use_(use) {}
  Use use() const { return use_; }

  // Zero-filled, 64-byte aligned; lives as long as the arena.
  float* take(size_t floats) {
    const size_t aligned = (floats + 15) / 16 * 16;
    if (aligned > left_) {
      left_ = std::max(aligned, kChunkFloats);
      chunks_.emplace_back(left_ * sizeof(float));
      next_ = chunks_.back().floats();
    }
    float* out = next_;
    next_ += aligned;
    left_ -= aligned;
    bytes_ += aligned * sizeof(float);
    return out;
  }

  // Counts memory that lies elsewhere: packed weights that were mapped.
  void adopt(size_t bytes) { bytes_ += bytes; }

  size_t bytes() const { return bytes_; }

 private:
  static constexpr size_t kChunkFloats = size_t{16} << 20;  // 64 MiB of addresses; only what is used becomes memory

  Use use_;
  std::vector<AlignedBuffer> chunks_;
  float* next_ = nullptr;
  size_t left_ = 0, bytes_ = 0;
};

}  // namespace wde
