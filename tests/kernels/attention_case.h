// One sequence's queries, keys and values, and how the tests run attention on them.
#pragma once

#include <bit>
#include <string>
#include <vector>

#include "kernels/attention.h"
#include "kernels/every_target.h"
#include "kernels/gemm_bf16.h"

namespace wde::kernels::test {

struct Shape {
  size_t length, head_dim = 16, heads = 1, kv_heads = 1;
};

struct Mask {
  bool causal = false;
  int64_t left = kNoWindow, right = kNoWindow;
};

// Queries, keys and values of one sequence, in vectors just as long as the kernel may read (AddressSanitizer watches
// their ends).
class Case {
 public:
  // bf16: queries, keys and values are such numbers already, and flash() rounds its weights to them.
  explicit Case(const Shape& shape, const Mask& mask = {}, float scale = 0, bool bf16 = false)
      : length_(shape.length), q_width_(shape.heads * shape.head_dim), kv_width_(shape.kv_heads * shape.head_dim) {
    args.num_heads = shape.heads;
    args.num_kv_heads = shape.kv_heads;
    args.head_dim = shape.head_dim;
    args.q_len = args.k_len = length_;
    args.q_stride = q_width_ + 3;
    args.k_stride = kv_width_ + 5;
    args.v_stride = kv_width_ + 7;
    args.out_stride = q_width_ + 4;
    args.scale = scale != 0 ? scale : 1.0f / std::sqrt(static_cast<float>(shape.head_dim));
    args.causal = mask.causal;
    args.window_left = mask.left;
    args.window_right = mask.right;
    Random random(shape.length * 131 + shape.head_dim);
    q_ = random.floats((length_ - 1) * args.q_stride + q_width_, 2.0f);
    k_ = random.floats((length_ - 1) * args.k_stride + kv_width_, 2.0f);
    v_ = random.floats((length_ - 1) * args.v_stride + kv_width_);
    args.bf16 = bf16;
    for (std::vector<float>* x : {&q_, &k_, &v_}) {
      for (float& element : *x) element = bf16 ? std::bit_cast<float>(uint32_t{to_bf16(element)} << 16) : element;
    }
    args.q = q_.data();
    args.k = k_.data();
    args.v = v_.data();
  }

  void fill_values(float x) { std::fill(v_.begin(), v_.end(), x); }
  size_t length() const { return length_; }
  size_t width() const { return q_width_; }

  // The rows of these queries (all of them if empty), each q_width_ long; checks that nothing else was written.
  using Kernel = void (*)(const AttentionArgs&, float*);
  std::vector<float> run(Kernel kernel, size_t scratch_floats, const std::vector<int32_t>& positions = {}) const {
    AttentionArgs a = args;
    std::vector<float> queries;
    if (!positions.empty()) {
      a.q_len = positions.size();
      a.q_positions = positions.data();
      queries.assign(positions.size() * a.q_stride, 0.0f);
      for (size_t i = 0; i < positions.size(); ++i) {
        std::copy_n(q_.data() + static_cast<size_t>(positions[i]) * a.q_stride, q_width_,
                    queries.data() + i * a.q_stride);
      }
      a.q = queries.data();
    }
    std::vector<float> out((a.q_len + 1) * a.out_stride, kCanary), scratch(scratch_floats + 1, kCanary), rows;
    a.out = out.data();
    kernel(a, scratch.data());
    EXPECT_EQ(scratch.back(), kCanary) << "written beyond the scratch";
    size_t overwritten = 0;
    for (size_t i = 0; i < out.size(); ++i) {
      if (i / a.out_stride < a.q_len && i % a.out_stride < q_width_) {
        rows.push_back(out[i]);
      } else if (out[i] != kCanary) {
        ++overwritten;
      }
    }
    EXPECT_EQ(overwritten, 0u) << "written outside of the output";
    return rows;
  }

  std::vector<float> flash(const std::vector<int32_t>& positions = {}) const {
    return run([](const AttentionArgs& a, float* s) { flash_attention(a, s); },
               flash_attention_scratch(length_, args.head_dim, args.num_heads / args.num_kv_heads), positions);
  }
  std::vector<float> naive(const std::vector<int32_t>& positions = {}) const {
    return run([](const AttentionArgs& a, float* s) { naive_attention(a, s); }, length_, positions);
  }

  std::vector<float> rows_of(const std::vector<float>& all, const std::vector<int32_t>& positions) const {
    std::vector<float> out;
    for (int32_t p : positions)
      out.insert(out.end(), all.begin() + p * static_cast<std::ptrdiff_t>(q_width_),
                 all.begin() + (p + 1) * static_cast<std::ptrdiff_t>(q_width_));
    return out;
  }

  // A logit is head_dim fused multiply-adds of products up to 4, scaled: its error moves a weight by that fraction of
  // itself, twice (numerator, sum). The weights' own error is exp's 2e-7 and the summation's, or a bfloat16's rounding
  // unit; values are at most 1.
  double tolerance() const {
    const double logit_error = 8 * kUnit * args.scale * static_cast<double>(args.head_dim) * 1.0;  // mean |q k| is 1
    return 2 * logit_error + (args.bf16 ? 0x1p-9 + 1e-6 : 1e-6);
  }

  AttentionArgs args;

 private:
  size_t length_, q_width_, kv_width_;
  std::vector<float> q_, k_, v_;
};

// All rows of a short sequence; of a long one those at its ends, at the borders of query blocks (56) and of key blocks.
inline std::vector<int32_t> sample(size_t length) {
  std::vector<int32_t> out;
  for (size_t i = 0; i < length; ++i) {
    const bool border = i % 56 < 1 || i % 56 == 55 || i % 512 < 2 || i % 512 == 511;
    if (length <= 140 || i < 3 || i + 3 >= length || (border && (length < 600 || i % 5 == 0 || i % 512 < 2)))
      out.push_back(static_cast<int32_t>(i));
  }
  return out;
}

inline void compare(const Shape& shape, const Mask& mask = {}, bool bf16 = false) {
  SCOPED_TRACE("length " + std::to_string(shape.length) + ", head_dim " + std::to_string(shape.head_dim) + ", heads " +
               std::to_string(shape.heads) + "/" + std::to_string(shape.kv_heads) + (mask.causal ? ", causal" : "") +
               ", window " + std::to_string(mask.left) + ", " + std::to_string(mask.right));
  const Case c(shape, mask, 0, bf16);
  const auto positions = sample(shape.length);
  expect_near(c.rows_of(c.flash(), positions), c.naive(positions), c.tolerance());
}

inline void expect_nan_in_its_row(bool bf16) {
  const size_t length = 40, head_dim = 16;
  for (float bad : {INFINITY, NAN}) {
    Case c({length, head_dim}, {}, 0, bf16);
    auto queries = Random(3).floats(length * head_dim);
    queries[7 * head_dim + 5] = bad;
    c.args.q = queries.data();
    c.args.q_stride = head_dim;
    const auto out = c.flash();
    for (size_t i = 0; i < out.size(); ++i) EXPECT_EQ(std::isfinite(out[i]), i / head_dim != 7) << i;
  }
}

}  // namespace wde::kernels::test
