// Attention of the queries of one sequence over its keys, all heads. The mask is a rule on positions, never a tensor.
#pragma once

#include <cstddef>
#include <cstdint>

namespace wde::kernels {

inline constexpr int64_t kNoWindow = -1;

struct AttentionArgs {
  const float* q =
      nullptr;  // [q_len, num_heads * head_dim], q_stride floats between rows; k, v alike with num_kv_heads
  const float* k = nullptr;
  const float* v = nullptr;
  float* out = nullptr;  // [q_len, num_heads * head_dim]
  size_t q_stride = 0, k_stride = 0, v_stride = 0, out_stride = 0;
  size_t q_len = 0, k_len = 0;
  size_t num_heads = 0, num_kv_heads = 0, head_dim = 0;
  const int32_t* q_positions = nullptr;  // position of each query among the keys; nullptr: query i is at i
  float scale = 1.0f;
  bool causal = false;               // key j is seen by query i only if j <= i
  int64_t window_left = kNoWindow;   // ... only if i - j <= window_left
  int64_t window_right = kNoWindow;  // ... only if j - i <= window_right
  // Used by naive_attention only (what a backend honours is declared in src/attention).
  float soft_cap = 0.0f;                // > 0: logits become cap * tanh(logits / cap), before the mask
  const float* alibi_slopes = nullptr;  // [num_heads]: - slope * |i - j| is added
  const float* relative_bias =
      nullptr;  // [num_heads, 2 * relative_span - 1]: bias at (j - i) + relative_span - 1 is added
  size_t relative_span = 0;
};

// Floats of scratch that flash_attention needs for sequences of up to max_k_len keys.
size_t flash_attention_scratch(size_t max_k_len, size_t head_dim) noexcept;

// Tiled; one pass over the keys while a block of scores fits the L2 cache, online softmax over blocks of keys beyond
// (Dao et al. 2022, Milakov & Gimelshein 2018). A row whose mask allows no key becomes zeros.
void flash_attention(const AttentionArgs& args, float* scratch) noexcept;

// The formula in plain loops, double accumulation: the reference of all backends. scratch: k_len floats.
void naive_attention(const AttentionArgs& args, float* scratch) noexcept;

}  // namespace wde::kernels
