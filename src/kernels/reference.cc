#include "kernels/reference.h"

#include <algorithm>
#include <cmath>

#include "kernels/attention.h"

namespace wde::kernels {

namespace reference {

float activate(Activation act, float x32) {
  const double x = x32;
  switch (act) {
    case Activation::kNone:
      return x32;
    case Activation::kGelu:
      return static_cast<float>(0.5 * x * (1.0 + std::erf(x / std::sqrt(2.0))));
    case Activation::kGeluTanh:
      return static_cast<float>(0.5 * x * (1.0 + std::tanh(std::sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x))));
    case Activation::kQuickGelu:
      return static_cast<float>(x / (1.0 + std::exp(-1.702 * x)));
    case Activation::kRelu:
      return std::max(x32, 0.0f);
    case Activation::kSilu:
      return static_cast<float>(x / (1.0 + std::exp(-x)));
    case Activation::kTanh:
      return static_cast<float>(std::tanh(x));
    case Activation::kSigmoid:
      return static_cast<float>(1.0 / (1.0 + std::exp(-x)));
  }
  return x32;
}

void linear(const float* a, size_t lda, const float* w, const float* bias, const float* residual,
            size_t residual_stride, Activation act, float* c, size_t ldc, size_t m, size_t n, size_t k) {
  for (size_t i = 0; i < m; ++i) {
    for (size_t j = 0; j < n; ++j) {
      double sum = 0;
      for (size_t kk = 0; kk < k; ++kk) sum += static_cast<double>(a[i * lda + kk]) * w[j * k + kk];
      if (bias) sum += bias[j];
      if (residual) sum += residual[i * residual_stride + j];
      c[i * ldc + j] = activate(act, static_cast<float>(sum));
    }
  }
}

void layer_norm(const float* x, const float* gamma, const float* beta, float eps, float* y, size_t cols) {
  double mean = 0, variance = 0;
  for (size_t i = 0; i < cols; ++i) mean += x[i];
  mean /= static_cast<double>(cols);
  for (size_t i = 0; i < cols; ++i) variance += (x[i] - mean) * (x[i] - mean);
  variance /= static_cast<double>(cols);
  for (size_t i = 0; i < cols; ++i) {
    y[i] = static_cast<float>((x[i] - mean) / std::sqrt(variance + eps) * gamma[i] + (beta ? beta[i] : 0.0f));
  }
}

}  // namespace reference

namespace {

// The logit of query i, which is at `position`, and key j.
double logit(const AttentionArgs& a, size_t head, size_t i, int64_t position, size_t j) {
  const float* q = a.q + i * a.q_stride + head * a.head_dim;
  const float* k = a.k + j * a.k_stride + head / (a.num_heads / a.num_kv_heads) * a.head_dim;
  const int64_t distance = static_cast<int64_t>(j) - position;
  const int64_t place = distance + static_cast<int64_t>(a.relative_span) - 1;  // in the tables
  double x = 0;
  for (size_t d = 0; d < a.head_dim; ++d) x += static_cast<double>(q[d]) * k[d];
  if (a.c2p || a.p2c) {
    const size_t column = head * a.positions + static_cast<size_t>(a.relative_index[place]);
    if (a.c2p) x += a.c2p[i * a.c2p_stride + column];
    if (a.p2c) x += a.p2c[j * a.p2c_stride + column];
  }
  x *= a.scale;
  if (a.soft_cap > 0) x = a.soft_cap * std::tanh(x / a.soft_cap);
  if (a.alibi_slopes) x -= a.alibi_slopes[head] * static_cast<double>(std::abs(distance));
  if (a.relative_bias) x += a.relative_bias[static_cast<int64_t>(head * (2 * a.relative_span - 1)) + place];
  return x;
}

}  // namespace

void naive_attention(const AttentionArgs& a, float* scratch) noexcept {
  for (size_t head = 0; head < a.num_heads; ++head) {
    const size_t kv_head = head / (a.num_heads / a.num_kv_heads);
    for (size_t i = 0; i < a.q_len; ++i) {
      float* out = a.out + i * a.out_stride + head * a.head_dim;
      const int64_t position = a.q_positions ? a.q_positions[i] : static_cast<int64_t>(a.q_begin + i);
      double max = -INFINITY;
      for (size_t j = 0; j < a.k_len; ++j) {
        const int64_t distance = static_cast<int64_t>(j) - position;
        const bool hidden = (a.causal && distance > 0) || (a.window_left >= 0 && -distance > a.window_left) ||
                            (a.window_right >= 0 && distance > a.window_right);
        const double x = hidden ? -INFINITY : logit(a, head, i, position, j);
        scratch[j] = static_cast<float>(x);
        if (!(x <= max)) max = x;  // and not -infinity where all logits are NaN
      }
      double sum = 0;
      for (size_t j = 0; j < a.k_len; ++j) {
        scratch[j] = max == -INFINITY ? 0.0f : static_cast<float>(std::exp(scratch[j] - max));
        sum += scratch[j];
      }
      for (size_t x = 0; x < a.head_dim; ++x) {
        double value = 0;
        for (size_t j = 0; j < a.k_len; ++j)
          value += static_cast<double>(scratch[j]) * a.v[j * a.v_stride + kv_head * a.head_dim + x];
        out[x] = sum == 0 ? 0.0f : static_cast<float>(value / sum);
      }
    }
  }
}

}  // namespace wde::kernels
