// sdpa: attention by PyTorch's scaled_dot_product_attention, one call a sequence, on the thread that asks. It exists to
// compare with: it copies, allocates, and gives torch a tensor [heads, queries, keys] of what flash applies as a rule
// (a window, ALiBi, biases), so its memory grows with the square of a text's length. Torch chooses its kernels by
// shape: a row's last bits may depend on the other rows of the call.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/version.h>

#include <cmath>
#include <limits>

#include "attention/attn_backend.h"
#include "wde/plugin.h"

namespace {

using wde::kernels::AttentionArgs;

// Before 2.0 it had an underscore, and answered the weights as well.
at::Tensor scaled_dot_product_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                        const c10::optional<at::Tensor>& bias, bool causal) {
#if TORCH_VERSION_MAJOR >= 2
  return at::scaled_dot_product_attention(q, k, v, bias, 0.0, causal);
#else
  return std::get<0>(at::_scaled_dot_product_attention(q, k, v, bias, 0.0, false, causal));
#endif
}

int64_t position_of(const AttentionArgs& a, size_t query) {
  return a.q_positions != nullptr ? a.q_positions[query] : static_cast<int64_t>(a.q_begin + query);
}

bool hidden(const AttentionArgs& a, int64_t distance) {
  return (a.causal && distance > 0) || (a.window_left >= 0 && -distance > a.window_left) ||
         (a.window_right >= 0 && distance > a.window_right);
}

// What is added to the scaled products of one query of one head.
void fill_bias(const AttentionArgs& a, size_t head, size_t query, float* out) {
  const int64_t position = position_of(a, query), span = static_cast<int64_t>(a.relative_span);
  for (size_t j = 0; j < a.k_len; ++j) {
    const int64_t distance = static_cast<int64_t>(j) - position, place = distance + span - 1;
    float x = 0;
    if (hidden(a, distance)) {
      out[j] = -std::numeric_limits<float>::infinity();
      continue;
    }
    if (a.c2p != nullptr || a.p2c != nullptr) {
      const size_t column = head * a.positions + static_cast<size_t>(a.relative_index[place]);
      if (a.c2p != nullptr) x += a.c2p[query * a.c2p_stride + column];
      if (a.p2c != nullptr) x += a.p2c[j * a.p2c_stride + column];
      x *= a.scale;
    }
    if (a.alibi_slopes != nullptr) x -= a.alibi_slopes[head] * static_cast<float>(std::abs(distance));
    if (a.relative_bias != nullptr) x += a.relative_bias[static_cast<int64_t>(head) * (2 * span - 1) + place];
    out[j] = x;
  }
}

// Whether the query sees any key; torch answers NaN where it does not.
bool sees_a_key(const AttentionArgs& a, size_t query) {
  for (size_t j = 0; j < a.k_len; ++j) {
    if (!hidden(a, static_cast<int64_t>(j) - position_of(a, query))) return true;
  }
  return false;
}

void attend_with_torch(const AttentionArgs& a) {
  const c10::InferenceMode no_gradients;
  const auto n = [](size_t x) { return static_cast<int64_t>(x); };
  const int64_t kv_heads = n(a.num_kv_heads), group = n(a.num_heads / a.num_kv_heads), dim = n(a.head_dim);
  // [kv heads, group, rows, head_dim], views of the rows as they lie.
  const auto view = [&](const float* data, size_t rows, size_t stride, int64_t heads_a_group) {
    return at::from_blob(const_cast<float*>(data), {kv_heads, heads_a_group, n(rows), dim},
                         {heads_a_group * dim, dim, n(stride), 1}, at::kFloat);
  };
  // Torch scales by 1 / sqrt(head_dim).
  const at::Tensor q = view(a.q, a.q_len, a.q_stride, group) * (a.scale * std::sqrt(static_cast<float>(dim)));
  const at::Tensor k = view(a.k, a.k_len, a.k_stride, 1).expand({kv_heads, group, n(a.k_len), dim});
  const at::Tensor v = view(a.v, a.k_len, a.v_stride, 1).expand({kv_heads, group, n(a.k_len), dim});

  const bool plain = a.window_left < 0 && a.window_right < 0 && !a.alibi_slopes && !a.relative_bias && !a.c2p && !a.p2c;
  const bool square = a.q_positions == nullptr && a.q_begin == 0 && a.q_len == a.k_len;
  c10::optional<at::Tensor> bias;
  if (!plain || (a.causal && !square)) {
    bias = at::empty({kv_heads, group, n(a.q_len), n(a.k_len)}, at::kFloat);
    float* row = bias->data_ptr<float>();
    for (size_t head = 0; head < a.num_heads; ++head) {
      for (size_t i = 0; i < a.q_len; ++i, row += a.k_len) fill_bias(a, head, i, row);
    }
  }
  at::Tensor out = view(a.out, a.q_len, a.out_stride, group);
  out.copy_(scaled_dot_product_attention(q, k, v, bias, a.causal && !bias));
  if (a.window_left >= 0 || a.window_right >= 0 || a.causal) {
    for (size_t i = 0; i < a.q_len; ++i) {
      if (!sees_a_key(a, i)) out.select(2, n(i)).zero_();
    }
  }
}

class SdpaAttention final : public wde::AttnBackend {
 public:
  // Threads are the engine's.
  SdpaAttention() { at::set_num_threads(1); }
  std::string refuses(const wde::AttentionMask& mask) const override {
    return mask.soft_cap != 0.0f ? "logit soft cap" : "";
  }
  bool batch_invariant() const override { return false; }
  size_t scratch_floats(size_t, const wde::HeadShape&) const override { return 0; }

 private:
  // Errors of torch (out of memory) become NaN, which the outputs refuse.
  void attend_sequence(const AttentionArgs& args, float*) const noexcept override {
    try {
      attend_with_torch(args);
    } catch (...) {
      for (size_t i = 0; i < args.q_len; ++i) {
        std::fill_n(args.out + i * args.out_stride, args.num_heads * args.head_dim,
                    std::numeric_limits<float>::quiet_NaN());
      }
    }
  }
};

}  // namespace

WDE_PLUGIN() {
  wde::attn_backends().add("sdpa", [] { return std::make_unique<SdpaAttention>(); });
}
