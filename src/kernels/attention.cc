#include "kernels/attention.h"

#include <algorithm>

#include "base/view.h"
#include "kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention.cc"  // NOLINT
#include <hwy/foreach_target.h>                    // NOLINT(build/include_order)

#include "kernels/attention-inl.h"

#ifndef WDE_ATTENTION_BLOCKS
#define WDE_ATTENTION_BLOCKS
namespace wde::kernels {
inline constexpr size_t kQueryBlock = 56;  // four tiles of 14 rows
inline constexpr size_t kOnePassKeys =
    1024;  // 56 x 1,024 scores are 224 KiB: they stay in the L2 cache between the three steps
inline constexpr size_t kKeyBlock = 512;  // beyond, in blocks of so many keys
constexpr size_t round_up_16(size_t n) { return (n + 15) / 16 * 16; }
}  // namespace wde::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace wde::kernels {
namespace HWY_NAMESPACE {

// One call's way through the keys. It depends on the mask and the length alone, never on which queries are asked for: a
// row's bits must not depend on the rows beside it.
struct FlashPlan {
  size_t block;         // keys of a pass; passes begin at multiples of it
  size_t score_keys;    // most keys of a pass that a block of queries may need; less than `block` only with a window
  size_t score_stride;  // floats
  bool plain;
};

HWY_INLINE FlashPlan plan_flash(const AttentionArgs& a) {
  FlashPlan plan;
  // A window's keys are few, wherever they lie: one pass (its queries reach a block's rows further than one of them).
  const size_t window = window_keys(a) + kQueryBlock + 2 * kPanelCols;
  plan.block = a.k_len <= kOnePassKeys || window <= kOnePassKeys ? HWY_MAX(a.k_len, size_t{1}) : kKeyBlock;
  plan.score_keys = HWY_MIN(plan.block, window);
  plan.score_stride = padded_stride(plan.score_keys);
  plan.plain = plain_logits(a);
  return plan;
}

// The memory of one head, and how far its keys are in it.
class FlashHead {
 public:
  FlashHead(const AttentionArgs& a, const FlashPlan& plan, float* scratch) : a_(a), plan_(plan) {
    keys_ = scratch;
    values_ = keys_ + round_up_16(a.k_len) * a.head_dim;
    scores_ = values_ + a.k_len * padded_dim();
  }

  // Keys will be asked for from `begin` on.
  void start(size_t kv_head, size_t begin) {
    k_ = a_.k + kv_head * a_.head_dim;
    v_ = a_.v + kv_head * a_.head_dim;
    packed_ = begin / kPanelCols * kPanelCols;
  }

  // One block of queries.
  HWY_INLINE void attend(size_t head, size_t first, size_t rows);

  // How many queries from `first` on can go together: their keys must fit the scores.
  size_t rows_together(size_t first, size_t rows) const {
    if (plan_.score_keys == plan_.block) return rows;
    size_t begin = a_.k_len, end = 0, r = 0;
    for (; r < rows; ++r) {
      const KeyRange seen = visible_keys(a_, first + r);
      if (seen.begin < seen.end) {
        begin = HWY_MIN(begin, seen.begin / kPanelCols * kPanelCols);
        end = HWY_MAX(end, seen.end);
        if (end - begin > plan_.score_keys && r > 0) break;
      }
    }
    return r;
  }

 private:
  size_t padded_dim() const { return round_up_16(a_.head_dim); }
  // Rows of V are rows of B as they lie, unless a whole panel of them would reach into the neighbour's.
  bool copies_values() const { return a_.head_dim % kPanelCols != 0; }

  HWY_INLINE void pack(size_t end) {
    if (end <= packed_) return;
    end = HWY_MIN(round_up_16(end), a_.k_len);
    pack_keys(k_ + packed_ * a_.k_stride, a_.k_stride, end - packed_, a_.head_dim, keys_ + packed_ * a_.head_dim);
    if (copies_values()) {
      for (size_t j = packed_; j < end; ++j) {
        float* to = values_ + j * padded_dim();
        std::copy_n(v_ + j * a_.v_stride, a_.head_dim, to);
        std::fill_n(to + a_.head_dim, padded_dim() - a_.head_dim, 0.0f);
      }
    }
    packed_ = end;
  }

  const AttentionArgs& a_;
  const FlashPlan& plan_;
  float *keys_, *values_, *scores_;
  const float *k_ = nullptr, *v_ = nullptr;
  size_t packed_ = 0;
};

HWY_INLINE void FlashHead::attend(size_t head, size_t first, size_t rows) {
  const AttentionArgs& a = a_;
  const float* q = a.q + first * a.q_stride + head * a.head_dim;
  float* out = a.out + first * a.out_stride + head * a.head_dim;
  KeyRange seen[kQueryBlock];
  size_t begin = a.k_len, end = 0;  // of all rows
  for (size_t r = 0; r < rows; ++r) {
    seen[r] = visible_keys(a, first + r);
    if (seen[r].begin < seen[r].end) {
      begin = HWY_MIN(begin, seen[r].begin);
      end = HWY_MAX(end, seen[r].end);
    }
  }
  begin = begin / kPanelCols * kPanelCols;  // whole panels of keys
  pack(end);
  float max[kQueryBlock], sum[kQueryBlock], inverse[kQueryBlock];
  const size_t block = plan_.block, stride = plan_.score_stride;
  const float scale = exponent_scale(plan_.plain ? a.scale : 1.0f);
  const bool one_pass = end <= (begin / block + 1) * block;
  for (size_t r = 0; r < rows; ++r) {
    max[r] = sum[r] = 0.0f;
    if (!one_pass || end <= begin) std::fill_n(out + r * a.out_stride, a.head_dim, 0.0f);
  }
  const size_t v_stride = copies_values() ? padded_dim() : a.v_stride;
  for (size_t k0 = begin, keys; k0 < end; k0 += keys) {
    keys = HWY_MIN((k0 / block + 1) * block, end) - k0;
    const TileB packed{keys_ + k0 * a.head_dim, kPanelCols, kPanelCols * a.head_dim, keys_};
    tile_rows(q, a.q_stride, packed, rows, keys, a.head_dim, TileC{scores_, stride, nullptr, nullptr, 0, nullptr});
    for (size_t r = 0; r < rows; ++r) {
      float* s = scores_ + r * stride;
      const size_t lo = HWY_MIN(HWY_MAX(seen[r].begin, k0) - k0, keys);
      const size_t hi = HWY_MAX(HWY_MIN(HWY_MAX(seen[r].end, k0) - k0, keys), lo);
      if (lo < hi && !plan_.plain) adjust_logits(a, head, first + r, k0, lo, hi, s);
      std::fill(s, s + lo, 0.0f);
      std::fill(s + hi, s + keys, 0.0f);
      if (lo == hi) continue;
      const float block_max = row_max(s + lo, hi - lo);
      if (sum[r] == 0.0f) {
        max[r] = block_max;
      } else if (block_max > max[r]) {
        const float correction = max_correction(max[r], block_max, scale);
        sum[r] *= correction;
        scale_in_place(out + r * a.out_stride, a.head_dim, correction);
        max[r] = block_max;
      }
      sum[r] += row_exp(s + lo, hi - lo, max[r], scale);
    }
    for (size_t r = 0; r < rows; ++r) inverse[r] = sum[r] > 0.0f ? 1.0f / sum[r] : 0.0f;
    const float* v = copies_values() ? values_ + k0 * v_stride : v_ + k0 * v_stride;
    TileC c{out, a.out_stride, nullptr, one_pass ? nullptr : out, a.out_stride, one_pass ? inverse : nullptr};
    tile_rows(scores_, stride, TileB{v, v_stride, kPanelCols, v}, rows, a.head_dim, keys, c);
  }
  if (!one_pass) {
    for (size_t r = 0; r < rows; ++r) scale_in_place(out + r * a.out_stride, a.head_dim, inverse[r]);
  }
}

void flash_attention_target(const AttentionArgs& a, float* scratch) {
  const FlashPlan plan = plan_flash(a);
  size_t begin = a.k_len;  // of the keys that any query sees
  for (size_t i = 0; i < a.q_len; ++i) begin = HWY_MIN(begin, visible_keys(a, i).begin);
  FlashHead keys(a, plan, scratch);
  const size_t group = a.num_heads / a.num_kv_heads, blocks = (a.q_len + kQueryBlock - 1) / kQueryBlock;
  for (size_t kv_head = 0; kv_head < a.num_kv_heads; ++kv_head) {
    keys.start(kv_head, begin);
    for (size_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
      for (size_t b = 0; b < blocks; ++b) {
        const size_t last = share_begin(a.q_len, blocks, b + 1);
        for (size_t first = share_begin(a.q_len, blocks, b), rows; first < last; first += rows) {
          rows = keys.rows_together(first, last - first);
          keys.attend(head, first, rows);
        }
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace wde::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace wde::kernels {
HWY_EXPORT(flash_attention_target);

size_t flash_attention_scratch(size_t max_k_len, size_t head_dim) noexcept {
  // Every k_len <= max_k_len must fit: the score block is widest for kOnePassKeys.
  const size_t widest = padded_stride(std::min(max_k_len, kOnePassKeys));
  return round_up_16(max_k_len) * head_dim + max_k_len * round_up_16(head_dim) + kQueryBlock * widest;
}

void flash_attention(const AttentionArgs& args, float* scratch) noexcept {
  HWY_DYNAMIC_DISPATCH(flash_attention_target)(args, scratch);
}
}  // namespace wde::kernels
#endif
