// Blocks of the queries of one head, for one instruction set; included once per target by Highway's foreach_target.
#if defined(WDE_KERNELS_QUERY_BLOCKS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WDE_KERNELS_QUERY_BLOCKS_INL_H_
#undef WDE_KERNELS_QUERY_BLOCKS_INL_H_
#else
#define WDE_KERNELS_QUERY_BLOCKS_INL_H_
#endif

#include <hwy/highway.h>

#include "kernels/attention.h"
#include "kernels/gemm-inl.h"
#include "kernels/mask-inl.h"

HWY_BEFORE_NAMESPACE();
namespace wde::kernels {
namespace HWY_NAMESPACE {

inline constexpr size_t kQueryBlock = 56;  // four tiles of 14 rows

// Calls f(first, rows) for blocks of queries, of whole tiles as far as they go.
template <class F>
HWY_INLINE void for_blocks(size_t queries, const F& f) {
  const size_t tiles = (queries + kTileRows - 1) / kTileRows,
               tiles_a_block = HWY_MAX(kQueryBlock / kTileRows, size_t{1});
  const size_t blocks = (tiles + tiles_a_block - 1) / tiles_a_block;
  for (size_t b = 0; b < blocks; ++b) {
    const size_t first = share_begin(queries, tiles, share_begin(tiles, blocks, b));
    f(first, share_begin(queries, tiles, share_begin(tiles, blocks, b + 1)) - first);
  }
}

// How many of the `rows` queries from `first` on can go together: the keys that they see must fit a pass, also where
// single queries from all over a long text are asked for.
HWY_INLINE size_t rows_together(const AttentionArgs& a, size_t first, size_t rows, size_t pass_keys) {
  if (pass_keys >= a.k_len) return rows;
  KeyRange all{a.k_len, 0};
  for (size_t r = 0; r < rows; ++r) {
    const KeyRange seen = visible_keys(a, first + r);
    if (seen.begin >= seen.end) continue;
    all = {HWY_MIN(all.begin, seen.begin / kPanelCols * kPanelCols), HWY_MAX(all.end, seen.end)};
    if (all.end - all.begin > pass_keys && r > 0) return r;
  }
  return rows;
}

}  // namespace HWY_NAMESPACE
}  // namespace wde::kernels
HWY_AFTER_NAMESPACE();

#endif  // WDE_KERNELS_QUERY_BLOCKS_INL_H_
