// shared_prefix: as encoder, but tokens that sequences of a batch begin with alike are packed once. For causal models
// of which the last rows are needed: there a token's keys and values depend on what stands before it alone, so they are
// the same numbers, bit for bit, whichever sequence computed them. Rerankers repeat instruction and query before every
// document, embedders their instruction.
#include <algorithm>
#include <numeric>
#include <tuple>

#include "build/model_input_builder.h"
#include "build/packing.h"

namespace wde {
namespace {

// Fewer tokens are not worth the copies of keys and values that borrowing makes in every layer.
constexpr size_t kShortestPrefix = 8;
// As many documents of a reranker as make the prefix's own share small.
constexpr size_t kMostTokens = 4096;
// A batch may grow by so many tokens for each one that was shared in it: to kMostTokens where an eighth of every
// sequence is shared, and hardly where next to nothing is.
constexpr size_t kGrowth = 8;

size_t common_prefix(const Sequence& a, const Sequence& b) {
  const size_t most = std::min(a.size(), b.size());
  size_t n = 0;
  while (n < most && a.ids[n] == b.ids[n] && a.type_ids[n] == b.type_ids[n]) ++n;
  return n;
}

class SharedPrefixBuilder final : public ModelInputBuilder {
 public:
  void build(std::span<const Sequence> batch, RowsNeeded rows, ModelInput& input) const override {
    if (rows != RowsNeeded::kLast || batch.size() < 2) return pack_sequences(batch, rows, {}, input);
    Sharing sharing = share(batch);
    pack_sequences(batch, rows, sharing.prefix_lens, input);
    for (size_t s = 0; s < batch.size(); ++s) input.prefix_rows.push_back(input.cu_seqlens[sharing.lenders[s]]);
    input.prefix_lens = std::move(sharing.prefix_lens);
  }

  size_t useful_tokens(std::span<const Sequence> batch) const override {
    if (batch.empty()) return kUsefulTokens;
    // One alone shows nothing; a second one of its length does.
    if (batch.size() == 1) return std::clamp(2 * batch[0].size(), kUsefulTokens, kMostTokens);
    const std::vector<int32_t> shared = share(batch).prefix_lens;
    return std::min(kMostTokens, kUsefulTokens + kGrowth * std::accumulate(shared.begin(), shared.end(), size_t{0}));
  }
  size_t most_useful_tokens() const override { return kMostTokens; }

 private:
  struct Sharing {
    std::vector<size_t> lenders;       // of each sequence: whose tokens it begins with; itself, where it borrows none
    std::vector<int32_t> prefix_lens;  // and how many of them
  };

  static Sharing share(std::span<const Sequence> batch) {
    // In the order of a dictionary those with the longest common prefixes are neighbours.
    std::vector<size_t> order(batch.size()), common(batch.size());  // common[i]: with order[i - 1]
    std::iota(order.begin(), order.end(), size_t{0});
    std::sort(order.begin(), order.end(),
              [&](size_t a, size_t b) { return std::tie(batch[a].ids, a) < std::tie(batch[b].ids, b); });
    for (size_t i = 1; i < order.size(); ++i) common[i] = common_prefix(batch[order[i - 1]], batch[order[i]]);

    Sharing out{std::vector<size_t>(batch.size()), std::vector<int32_t>(batch.size(), 0)};
    size_t lender = order[0], shared = batch[lender].size();
    for (size_t i = 0; i < order.size(); ++i) {
      const size_t s = order[i];
      if (i > 0) shared = std::min(shared, common[i]);
      if (i == 0 || shared < kShortestPrefix || lends_more(common, i, shared)) {
        lender = s;
        shared = batch[s].size();
      } else {
        // The last row is every sequence's own.
        out.prefix_lens[s] = static_cast<int32_t>(std::min(shared, batch[s].last_row.value_or(batch[s].size() - 1)));
      }
      out.lenders[s] = lender;
    }
    return out;
  }

  // Whether those behind i save more rows by borrowing from i than i itself, which then borrows none, by borrowing
  // `shared` as they would.
  static bool lends_more(std::span<const size_t> common, size_t i, size_t shared) {
    size_t with = SIZE_MAX, saved = 0;
    for (size_t next = i + 1; next < common.size() && saved <= shared; ++next) {
      with = std::min(with, common[next]);
      if (with <= shared) break;
      saved += with - shared;
    }
    return saved > shared;
  }
};

WDE_REGISTER(model_input_builders().add("shared_prefix", [] { return std::make_unique<SharedPrefixBuilder>(); }));

}  // namespace
}  // namespace wde
