// Attention of the queries of one sequence over its keys, all heads. The mask is a rule on positions, never a tensor.
// Tables by distance hold the value of key position - query position = t at t + relative_span - 1.
#pragma once

#include <cstddef>
#include <cstdint>

namespace wde::kernels {

inline constexpr int64_t kNoWindow = -1;

// The logit of query i and key j, for each head:
//   x = scale * (q_i . k_j + c2p[i][relative_index(j - i)] + p2c[j][relative_index(j - i)])
//   x = soft_cap * tanh(x / soft_cap)
//   x - alibi_slope * |j - i| + relative_bias(j - i)
// where what is absent (nullptr, 0) is left out; then the mask, then the softmax.
struct AttentionArgs {
  // [q_len, num_heads * head_floats()], q_stride floats between rows; k, v alike with num_kv_heads.
  const float* q = nullptr;
  const float* k = nullptr;
  const float* v = nullptr;
  float* out = nullptr;  // [q_len, num_heads * head_dim]
  size_t q_stride = 0, k_stride = 0, v_stride = 0, out_stride = 0;
  size_t q_len = 0, k_len = 0;
  size_t num_heads = 0, num_kv_heads = 0, head_dim = 0;
  const int32_t* q_positions = nullptr;  // position of each query among the keys; nullptr: query i is at q_begin + i
  size_t q_begin = 0;
  float scale = 1.0f;                // > 0
  bool bf16 = false;                 // a kernel may round the operands of both products to bfloat16
  bool rounded = false;              // q, k and v are that already, two in a float; with bf16 and an even head_dim
  bool causal = false;               // key j is seen by query i only if j <= i
  int64_t window_left = kNoWindow;   // ... only if i - j <= window_left
  int64_t window_right = kNoWindow;  // ... only if j - i <= window_right
  float soft_cap = 0.0f;
  const float* alibi_slopes = nullptr;  // [num_heads]
  // |key position - query position| < relative_span, for all of them: the tables are read without a check.
  size_t relative_span = 0;
  const float* relative_bias = nullptr;  // [num_heads, 2 * relative_span - 1]
  // DeBERTa's disentangled attention: the scores of each query with the relative positions, of each key with them, and
  // which of a head's `positions` scores belongs to a distance. Either one of the two may be absent.
  const int32_t* relative_index = nullptr;  // [2 * relative_span - 1], each in [0, positions)
  size_t positions = 0;
  const float* c2p = nullptr;  // [q_len, num_heads * positions]
  const float* p2c = nullptr;  // [k_len, num_heads * positions]
  size_t c2p_stride = 0, p2c_stride = 0;

  size_t head_floats() const { return rounded ? head_dim / 2 : head_dim; }  // of a head in a row of q, k or v
};

// Floats of scratch that flash_attention needs for sequences of up to max_k_len keys and as many queries, with `group`
// heads to each head of keys.
size_t flash_attention_scratch(size_t max_k_len, size_t head_dim, size_t group = 1) noexcept;

// Tiled; one pass over the keys while a block of scores fits the L2 cache, online softmax over blocks of keys beyond
// (Dao et al. 2022, Milakov & Gimelshein 2018). A row whose mask allows no key becomes zeros. args.bf16 has queries,
// keys, values and exponentials rounded, sums and softmax in float32: twice as fast where bf16_attention()
// (bf16_choice.h). On x86 where the kernels run on AVX-512 the CPU must have AVX512-BF16; elsewhere it is right but
// slow. No other kernel takes args.rounded.
void flash_attention(const AttentionArgs& args, float* scratch) noexcept;

// Chunks of queries over chunks of keys with a running maximum and sum (Rabe & Staats 2021, as in xFormers). What it
// needs of memory does not grow with the sequence.
size_t chunked_attention_scratch(size_t head_dim) noexcept;
void chunked_attention(const AttentionArgs& args, float* scratch) noexcept;

// The formula in plain loops, double accumulation: the reference of all backends. scratch: k_len floats.
void naive_attention(const AttentionArgs& args, float* scratch) noexcept;

}  // namespace wde::kernels
