// Disentangled: the relative positions of one DeBERTa layer (He et al. 2021): what each query scores with the keys of
// all relative positions, and each key with their queries. Those are constants, so they are computed and packed at
// load.
#pragma once

#include <vector>

#include "base/view.h"
#include "kernels/gemm.h"
#include "ops/weight_arena.h"

namespace wde {

class Disentangled {
 public:
  Disentangled() = default;
  // keys, queries: [positions, heads * head_dim], projected relative embeddings; an empty view: that term is absent.
  Disentangled(View<const float> keys, View<const float> queries, size_t heads, size_t head_dim, WeightArena& arena)
      : heads_(heads), head_dim_(head_dim), positions_(keys.rows > 0 ? keys.rows : queries.rows) {
    pack(keys, keys_, arena);
    pack(queries, queries_, arena);
  }

  size_t positions() const { return positions_; }
  bool has_keys() const { return !keys_.empty(); }
  bool has_queries() const { return !queries_.empty(); }

  // out[r, h * positions + p] = x[r, head h] . relative[p, head h] for heads [first_head, last_head) and for the
  // positions [first, last), rounded outwards to whole panels.
  void score_queries(View<const float> q, View<float> out, size_t first_head, size_t last_head, size_t first,
                     size_t last) const noexcept {
    score(keys_, q, out, first_head, last_head, first, last);
  }
  void score_keys(View<const float> k, View<float> out, size_t first_head, size_t last_head, size_t first,
                  size_t last) const noexcept {
    score(queries_, k, out, first_head, last_head, first, last);
  }

 private:
  void pack(View<const float> x, std::vector<float*>& packed, WeightArena& arena) {
    for (size_t h = 0; x.rows > 0 && h < heads_; ++h) {
      packed.push_back(arena.take(kernels::packed_floats(head_dim_, x.rows)));
      for (size_t p = 0; p < x.rows; ++p)
        kernels::pack_weight(x.row(p) + h * head_dim_, 1, head_dim_, p, packed.back());
    }
  }

  void score(const std::vector<float*>& packed, View<const float> x, View<float> out, size_t first_head,
             size_t last_head, size_t first, size_t last) const noexcept {
    first = first / kernels::kPanelCols * kernels::kPanelCols;
    for (size_t h = first_head; h < last_head; ++h) {
      kernels::gemm(x.data + h * head_dim_, x.stride, packed[h] + first * head_dim_, out.data + h * positions_ + first,
                    out.stride, x.rows, last - first, head_dim_, {});
    }
  }

  size_t heads_ = 0, head_dim_ = 0, positions_ = 0;
  std::vector<float*> keys_, queries_;  // a packed matrix a head
};

}  // namespace wde
