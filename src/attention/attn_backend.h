// AttnBackend seam: one instance serves all layers of an engine and carries the one switch between causal and
// bidirectional. Layers pass a description of their mask, never a mask tensor.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/registry.h"
#include "base/team.h"
#include "base/view.h"
#include "kernels/attention.h"

namespace wde {

// What one layer asks for, besides causality; the formula is in kernels/attention.h. Pointers are borrowed from the
// model. Tables by distance hold key position - query position = t at t + relative_span - 1, and must reach as far as
// the longest sequence: relative_span >= max_seqlen.
struct AttentionMask {
  float scale = 1.0f;  // > 0
  int64_t window_left = kernels::kNoWindow, window_right = kernels::kNoWindow;
  int64_t bidirectional_growth = 0;     // of both sides of the window, where attention is bidirectional
  bool bidirectional = false;           // whatever the backend's switch says: image towers
  bool bf16 = false;                    // the layer's products are less exact than float32, its attention's may be too
  float soft_cap = 0.0f;                // 0: none
  const float* alibi_slopes = nullptr;  // [num_heads]; symmetric: - slope * |distance|
  size_t relative_span = 0;
  const float* relative_bias = nullptr;  // [num_heads, 2 * relative_span - 1]
  // Disentangled attention: column of a distance among the `positions` scores that AttentionBatch::c2p and p2c have for
  // each head.
  const int32_t* relative_index = nullptr;  // [2 * relative_span - 1]
  size_t positions = 0;
};

struct HeadShape {
  size_t num_heads = 0, num_kv_heads = 0, head_dim = 0;
};

// Keys and values of sequence s are at rows [cu_seqlens[s], cu_seqlens[s + 1]); its queries at [cu_rows[s], cu_rows[s +
// 1]) with their positions, where only some are needed, else at the same rows as the keys.
struct AttentionBatch {
  std::span<const int32_t> cu_seqlens;
  std::span<const int32_t> cu_rows;      // empty: all
  std::span<const int32_t> q_positions;  // of each query row; empty: all
  size_t max_seqlen = 0;
  // Before the keys and values of its own, a sequence sees those of the prefix_lens[s] rows from prefix_rows[s] on.
  // Only without disentangled attention. Empty: none does.
  std::span<const int32_t> prefix_rows, prefix_lens;
  // The last unseen_lens[s] keys and values of a sequence are seen by none of its queries. Sequences behind the span's
  // end have no such ones.
  std::span<const int32_t> unseen_lens;
  // Queries, keys and values are of bfloat16, two in a float: all their columns are half as many. Only with an even
  // head_dim, AttentionMask::bf16, a backend that takes_rounded(), and without prefixes and disentangled attention.
  bool rounded = false;
  // Disentangled attention: q . Krel of each query row, k . Qrel of each key row, [rows, num_heads * positions], before
  // the scale. Either may be empty.
  View<const float> c2p, p2c;
};

class AttnBackend {
 public:
  virtual ~AttnBackend() = default;

  void set_bidirectional(bool on) { bidirectional_ = on; }
  bool bidirectional() const { return bidirectional_; }

  // The backend that does the work, where this one is another name of it; "" otherwise.
  virtual std::string alias_of() const { return ""; }
  // "" if the backend honours everything that this mask asks for, else the feature that it does not ("logit soft cap");
  // a model whose layers need more is refused at load.
  virtual std::string refuses(const AttentionMask& mask) const = 0;
  // False: a row's last bits may depend on the other rows of the call, so a text's on what else is in its batch.
  virtual bool batch_invariant() const { return true; }
  virtual bool takes_rounded() const { return false; }
  // Of one member, for sequences of up to max_seqlen: what attend_sequence() needs.
  virtual size_t scratch_floats(size_t max_seqlen, const HeadShape& heads) const = 0;
  // ... and what attend() needs.
  size_t member_scratch_floats(size_t max_seqlen, const HeadShape& heads) const;

  // q [query rows, num_heads * head_dim], k and v [rows, num_kv_heads * head_dim], out like q. Thread-safe. With a
  // part, the member computes its share: of the heads, and of the queries where the heads cannot be shared evenly.
  // scratch is its own, of member_scratch_floats().
  void attend(View<const float> q, View<const float> k, View<const float> v, View<float> out, const HeadShape& heads,
              const AttentionMask& mask, const AttentionBatch& batch, float* scratch,
              const Part& part = {}) const noexcept;

 private:
  // A row's bits depend on its query and its sequence's keys and values alone, unless batch_invariant() says otherwise.
  virtual void attend_sequence(const kernels::AttentionArgs& args, float* scratch) const noexcept = 0;

  bool bidirectional_ = true;
};

using AttnBackendFactory = std::function<std::unique_ptr<AttnBackend>()>;
Registry<AttnBackendFactory>& attn_backends();

}  // namespace wde
