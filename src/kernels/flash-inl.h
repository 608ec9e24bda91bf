// Flash attention for one instruction set and one format of its products; included once per target by Highway's
// foreach_target.
#if defined(WDE_KERNELS_FLASH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WDE_KERNELS_FLASH_INL_H_
#undef WDE_KERNELS_FLASH_INL_H_
#else
#define WDE_KERNELS_FLASH_INL_H_
#endif

#include <algorithm>

#include "base/view.h"
#include "kernels/attention-inl.h"
#include "kernels/query_blocks-inl.h"

HWY_BEFORE_NAMESPACE();
namespace wde::kernels {
namespace HWY_NAMESPACE {

// 56 x 1,024 scores are 224 KiB: they stay in the L2 cache between the three steps. Up to so many keys are one pass,
// more are blocks of so many: smaller ones cost more passes over queries and results than they spare of the cache.
inline constexpr size_t kKeyBlock = 1024;

// How a call goes through the keys depends on the mask and the length alone, never on which queries are asked for: a
// row's bits must not depend on the rows beside it.
template <class Format>
class Flash {
  using B = typename Format::B;

 public:
  Flash(const AttentionArgs& a, float* scratch) : a_(a), format_(a, scratch) {
    // A window's keys are few, wherever they lie: one pass (a block's queries reach further than one of them).
    const size_t window = window_keys(a) + kQueryBlock + 2 * kPanelCols;
    one_pass_ = HWY_MIN(a.k_len, window) <= kKeyBlock;
    pass_keys_ = one_pass_ ? HWY_MIN(a.k_len, window) : kKeyBlock;
    const size_t padded_keys = round_up(a.k_len, kPanelCols);
    keys_ = scratch + Format::scratch(a.head_dim);
    values_ = keys_ + padded_keys * units<Format>(a.head_dim);
    max_ = values_ + units<Format>(padded_keys) * padded_dim();
    // Where the last keys of a text are left out, there are more queries than keys.
    states_ = a.num_heads / a.num_kv_heads * HWY_MAX(a.k_len, a.q_len);
    scores_ = {max_ + 2 * states_, padded_stride(pass_keys_)};
  }

  void run() {
    for (size_t kv_head = 0; kv_head < a_.num_kv_heads; ++kv_head) {
      k_ = a_.k + kv_head * a_.head_floats();
      v_ = a_.v + kv_head * a_.head_floats();
      if (one_pass_) {
        run_one_pass(kv_head);
      } else {
        run_blocks(kv_head);
      }
    }
  }

 private:
  HWY_INLINE size_t group() const { return a_.num_heads / a_.num_kv_heads; }
  HWY_INLINE size_t padded_dim() const { return round_up(a_.head_dim, kPanelCols); }

  HWY_INLINE QueryBlock block_of(size_t head, size_t first, size_t rows, float* max, float* sum) {
    return {head,
            first,
            rows,
            a_.q + first * a_.q_stride + head * a_.head_floats(),
            a_.out + first * a_.out_stride + head * a_.head_dim,
            seen_,
            max,
            sum};
  }

  // All keys that a block of queries sees at once. Keys are packed as far as the queries so far have seen them.
  void run_one_pass(size_t kv_head) {
    size_t packed = a_.k_len;
    for (size_t i = 0; i < a_.q_len; ++i) packed = HWY_MIN(packed, visible_keys(a_, i).begin);
    packed = packed / kPanelCols * kPanelCols;
    const bool copies = !Format::kTakesValuesAsTheyAre || a_.head_dim != padded_dim();
    for (size_t head = kv_head * group(); head < (kv_head + 1) * group(); ++head) {
      for_blocks(a_.q_len, [&](size_t first, size_t rows) {
        for (size_t done = 0, together; done < rows; done += together) {
          together = rows_together(a_, first + done, rows - done, pass_keys_);
          float max[kQueryBlock], sum[kQueryBlock] = {};
          const QueryBlock block = block_of(head, first + done, together, max, sum);
          const KeyRange keys = look(a_, block);
          if (keys.end > packed) {
            const size_t end = HWY_MIN(round_up(keys.end, kPanelCols), a_.k_len);
            pack(packed, end, packed, copies);
            packed = end;
          }
          if (keys.begin >= keys.end) {
            zero(block);
            continue;
          }
          B values = packed_values(keys.begin);
          if (!copies) {
            values.data = values.ahead = v_ + keys.begin * a_.v_stride;
            values.row_stride = a_.v_stride;
          }
          fold_keys(a_, block, keys.begin, keys.end - keys.begin, format_, packed_keys(keys.begin), values, scores_,
                    true);
        }
      });
    }
  }

  // One block of keys after the other, and all queries over each: keys and values come to the L2 cache once.
  void run_blocks(size_t kv_head) {
    const size_t first_head = kv_head * group(), end_head = first_head + group();
    float* const sum = max_ + states_;
    std::fill_n(sum, group() * a_.q_len, 0.0f);
    const auto state_of = [&](size_t head, size_t first, size_t rows) {
      const size_t at = (head - first_head) * a_.q_len + first;
      return block_of(head, first, rows, max_ + at, sum + at);
    };
    for (size_t head = first_head; head < end_head; ++head) zero(state_of(head, 0, a_.q_len));
    for (size_t k0 = 0; k0 < a_.k_len; k0 += kKeyBlock) {
      const size_t k_end = HWY_MIN(k0 + kKeyBlock, a_.k_len);
      bool packed = false;
      for (size_t head = first_head; head < end_head; ++head) {
        for_blocks(a_.q_len, [&](size_t first, size_t rows) {
          const QueryBlock block = state_of(head, first, rows);
          const KeyRange seen = look(a_, block);
          const size_t begin = HWY_MAX(seen.begin, k0), end = HWY_MIN(seen.end, k_end);
          if (begin >= end) return;
          prefetch_behind(block);
          if (!packed) pack(k0, k_end, 0, true);
          packed = true;
          fold_keys(a_, block, begin, end - begin, format_, packed_keys(begin - k0), packed_values(begin - k0), scores_,
                    false);
        });
      }
    }
    for (size_t head = first_head; head < end_head; ++head) {
      const QueryBlock all = state_of(head, 0, a_.q_len);
      for (size_t r = 0; r < a_.q_len; ++r)
        scale_in_place(all.out + r * a_.out_stride, a_.head_dim, inverse_of(all.sum[r]));
    }
  }

  // The queries and results that come next: each is needed once a block of keys, too rarely to stay in a cache.
  HWY_INLINE void prefetch_behind(const QueryBlock& block) const {
    for (size_t r = block.rows; r < 2 * block.rows; ++r) {
      for (size_t d = 0; d < a_.head_dim; d += kPanelCols) {
        __builtin_prefetch(block.q + r * a_.q_stride + d, 0, 2);
        __builtin_prefetch(block.out + r * a_.out_stride + d, 1, 2);
      }
    }
  }

  // Keys, and values if asked for, [begin, end) -> from `at` on, which begins a panel.
  void pack(size_t begin, size_t end, size_t at, bool values) {
    const size_t count = end - begin, units_at = at / Format::kElements;
    format_.pack_keys(k_ + begin * a_.k_stride, a_.k_stride, count, a_.head_dim, packed_keys_at(at));
    if (!values) return;
    format_.pack_values(v_ + begin * a_.v_stride, a_.v_stride, count, a_.head_dim, values_ + units_at * padded_dim());
  }
  HWY_INLINE float* packed_keys_at(size_t at) const { return keys_ + at * units<Format>(a_.head_dim); }
  HWY_INLINE B packed_keys(size_t at) const {
    return B{packed_keys_at(at), kPanelCols, kPanelCols * units<Format>(a_.head_dim), keys_};
  }
  HWY_INLINE B packed_values(size_t at) const {
    const float* const v = values_ + at / Format::kElements * padded_dim();
    return B{v, padded_dim(), kPanelCols, v};
  }

  void zero(const QueryBlock& block) const {
    for (size_t r = 0; r < block.rows; ++r) std::fill_n(block.out + r * a_.out_stride, a_.head_dim, 0.0f);
  }

  const AttentionArgs& a_;
  const Format format_;
  bool one_pass_;
  size_t pass_keys_;  // most keys of a pass
  float *keys_, *values_, *max_;
  size_t states_;  // running maxima, and as many sums
  Scores scores_;
  const float *k_ = nullptr, *v_ = nullptr;
  KeyRange seen_[kQueryBlock];
};

// Every k_len <= max_k_len must fit: the score block is widest for kKeyBlock.
template <class Format>
size_t flash_scratch(size_t max_k_len, size_t head_dim, size_t group) {
  const size_t keys = round_up(max_k_len, kPanelCols), widest = padded_stride(HWY_MIN(max_k_len, kKeyBlock));
  return Format::scratch(head_dim) + keys * units<Format>(head_dim) +
         units<Format>(keys) * round_up(head_dim, kPanelCols) + 2 * max_k_len * group + kQueryBlock * widest;
}

}  // namespace HWY_NAMESPACE
}  // namespace wde::kernels
HWY_AFTER_NAMESPACE();

#endif  // WDE_KERNELS_FLASH_INL_H_
