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
// 56 x 1,024 scores are 224 KiB: they stay in the L2 cache between the three steps. Up to so many keys are one pass,
// more are blocks of so many: smaller ones cost more passes over queries and results than they spare of the cache.
inline constexpr size_t kKeyBlock = 1024;
}  // namespace wde::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace wde::kernels {
namespace HWY_NAMESPACE {

// How a call goes through the keys depends on the mask and the length alone, never on which queries are asked for: a
// row's bits must not depend on the rows beside it.
class Flash {
 public:
  Flash(const AttentionArgs& a, float* scratch) : a_(a) {
    // A window's keys are few, wherever they lie: one pass (a block's queries reach further than one of them).
    const size_t window = window_keys(a) + kQueryBlock + 2 * kPanelCols;
    one_pass_ = HWY_MIN(a.k_len, window) <= kKeyBlock;
    pass_keys_ = one_pass_ ? HWY_MIN(a.k_len, window) : kKeyBlock;
    keys_ = scratch;
    values_ = keys_ + round_up(a.k_len, kPanelCols) * a.head_dim;
    max_ = values_ + a.k_len * padded_dim();
    // Where the last keys of a text are left out, there are more queries than keys.
    states_ = a.num_heads / a.num_kv_heads * HWY_MAX(a.k_len, a.q_len);
    scores_ = {max_ + 2 * states_, padded_stride(pass_keys_)};
  }

  void run() {
    for (size_t kv_head = 0; kv_head < a_.num_kv_heads; ++kv_head) {
      k_ = a_.k + kv_head * a_.head_dim;
      v_ = a_.v + kv_head * a_.head_dim;
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
            a_.q + first * a_.q_stride + head * a_.head_dim,
            a_.out + first * a_.out_stride + head * a_.head_dim,
            seen_,
            max,
            sum};
  }

  // Calls f(first, rows) for blocks of queries, of whole tiles as far as they go.
  template <class F>
  HWY_INLINE void for_blocks(const F& f) {
    const size_t tiles = (a_.q_len + kTileRows - 1) / kTileRows,
                 tiles_a_block = HWY_MAX(kQueryBlock / kTileRows, size_t{1});
    const size_t blocks = (tiles + tiles_a_block - 1) / tiles_a_block;
    for (size_t b = 0; b < blocks; ++b) {
      const size_t first = share_begin(a_.q_len, tiles, share_begin(tiles, blocks, b));
      f(first, share_begin(a_.q_len, tiles, share_begin(tiles, blocks, b + 1)) - first);
    }
  }

  // All keys that a block of queries sees at once. Keys are packed as far as the queries so far have seen them.
  void run_one_pass(size_t kv_head) {
    size_t packed = a_.k_len;
    for (size_t i = 0; i < a_.q_len; ++i) packed = HWY_MIN(packed, visible_keys(a_, i).begin);
    packed = packed / kPanelCols * kPanelCols;
    // Rows of V are rows of B as they lie, unless a whole panel of them would reach into the neighbour's.
    const bool copies = a_.head_dim != padded_dim();
    for (size_t head = kv_head * group(); head < (kv_head + 1) * group(); ++head) {
      for_blocks([&](size_t first, size_t rows) {
        for (size_t done = 0, together; done < rows; done += together) {
          together = rows_together(first + done, rows - done);
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
          const float* v = copies ? values_ + keys.begin * padded_dim() : v_ + keys.begin * a_.v_stride;
          fold_keys(a_, block, keys.begin, keys.end - keys.begin, packed_keys(keys.begin),
                    TileB{v, copies ? padded_dim() : a_.v_stride, kPanelCols, v}, scores_, true);
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
        for_blocks([&](size_t first, size_t rows) {
          const QueryBlock block = state_of(head, first, rows);
          const KeyRange seen = look(a_, block);
          const size_t begin = HWY_MAX(seen.begin, k0), end = HWY_MIN(seen.end, k_end);
          if (begin >= end) return;
          prefetch_behind(block);
          if (!packed) pack(k0, k_end, 0, true);
          packed = true;
          const float* v = values_ + (begin - k0) * padded_dim();
          fold_keys(a_, block, begin, end - begin, packed_keys(begin - k0), TileB{v, padded_dim(), kPanelCols, v},
                    scores_, false);
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

  // Keys, and values if asked for, [begin, end) -> from `at` on.
  void pack(size_t begin, size_t end, size_t at, bool values) {
    pack_keys(k_ + begin * a_.k_stride, a_.k_stride, end - begin, a_.head_dim, keys_ + at * a_.head_dim);
    if (values)
      copy_values(v_ + begin * a_.v_stride, a_.v_stride, end - begin, a_.head_dim, values_ + at * padded_dim());
  }
  HWY_INLINE TileB packed_keys(size_t at) const {
    return {keys_ + at * a_.head_dim, kPanelCols, kPanelCols * a_.head_dim, keys_};
  }

  void zero(const QueryBlock& block) const {
    for (size_t r = 0; r < block.rows; ++r) std::fill_n(block.out + r * a_.out_stride, a_.head_dim, 0.0f);
  }

  // How many queries from `first` on can go together: their keys must fit the scores, also where single queries from
  // all over a long text are asked for.
  size_t rows_together(size_t first, size_t rows) const {
    if (pass_keys_ >= a_.k_len) return rows;
    KeyRange all{a_.k_len, 0};
    for (size_t r = 0; r < rows; ++r) {
      const KeyRange seen = visible_keys(a_, first + r);
      if (seen.begin >= seen.end) continue;
      all = {HWY_MIN(all.begin, seen.begin / kPanelCols * kPanelCols), HWY_MAX(all.end, seen.end)};
      if (all.end - all.begin > pass_keys_ && r > 0) return r;
    }
    return rows;
  }

  const AttentionArgs& a_;
  bool one_pass_;
  size_t pass_keys_;  // most keys of a pass
  float *keys_, *values_, *max_;
  size_t states_;  // running maxima, and as many sums
  Scores scores_;
  const float *k_ = nullptr, *v_ = nullptr;
  KeyRange seen_[kQueryBlock];
};

void flash_attention_target(const AttentionArgs& a, float* scratch) { Flash(a, scratch).run(); }

}  // namespace HWY_NAMESPACE
}  // namespace wde::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace wde::kernels {
HWY_EXPORT(flash_attention_target);

size_t flash_attention_scratch(size_t max_k_len, size_t head_dim, size_t group) noexcept {
  // Every k_len <= max_k_len must fit: the score block is widest for kKeyBlock.
  const size_t widest = padded_stride(std::min(max_k_len, kKeyBlock));
  const size_t padded_k = (max_k_len + 15) / 16 * 16, padded_dim = (head_dim + 15) / 16 * 16;
  return padded_k * head_dim + max_k_len * (padded_dim + 2 * group) + kQueryBlock * widest;
}

void flash_attention(const AttentionArgs& args, float* scratch) noexcept {
  HWY_DYNAMIC_DISPATCH(flash_attention_target)(args, scratch);
}
}  // namespace wde::kernels
#endif
