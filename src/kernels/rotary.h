// Rotary position embedding (Su et al. 2021), in place.
#pragma once

#include <cstddef>

namespace wde::kernels {

// Which dimensions of a head turn together.
enum class RotaryPairs {
  kHalves,    // i and i + rotary_dim / 2 (GPT-NeoX, Llama, nearly everybody)
  kAdjacent,  // 2 i and 2 i + 1 (GPT-J)
};

// Turns the first 2 * half dimensions of each of `heads` heads, head_dim floats apart from x on, by the angles whose
// cosines and sines are given, [half] each.
void rotate(float* x, size_t heads, size_t head_dim, const float* cosines, const float* sines, size_t half,
            RotaryPairs pairs) noexcept;

}  // namespace wde::kernels
