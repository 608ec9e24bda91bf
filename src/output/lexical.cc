// sparse, multi_vector and m3: weights of vocabulary entries, vectors of tokens, and bge-m3's three kinds in one pass.
#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <optional>
#include <unordered_set>

#include "kernels/elementwise.h"
#include "output/embedder.h"
#include "tokenizer/tokenizer.h"

namespace wde {
namespace {

// Weights of a whole vocabulary -> the entries above zero, the `most` highest of them if that is not 0.
Output entries(const float* weights, size_t n, size_t most) {
  Output out{"sparse", {}, {}, {}};
  for (size_t id = 0; id < n; ++id) {
    if (weights[id] > 0) {
      out.ids.push_back(static_cast<int32_t>(id));
      out.values.push_back(weights[id]);
    }
  }
  if (most > 0 && most < out.ids.size()) {
    std::vector<float> sorted = out.values;
    std::nth_element(sorted.begin(), sorted.begin() + static_cast<ptrdiff_t>(most) - 1, sorted.end(), std::greater<>());
    const float lowest = sorted[most - 1];
    // Of equal ones the first entries stay.
    size_t equal =
        most - static_cast<size_t>(std::count_if(sorted.begin(), sorted.end(), [&](float v) { return v > lowest; }));
    size_t kept = 0;
    for (size_t i = 0; i < out.ids.size(); ++i) {
      if (out.values[i] < lowest || (out.values[i] == lowest && equal == 0)) continue;
      if (out.values[i] == lowest) --equal;
      out.ids[kept] = out.ids[i];
      out.values[kept++] = out.values[i];
    }
    out.ids.resize(kept);
    out.values.resize(kept);
  }
  out.shape = {out.ids.size()};
  return out;
}

// A weight a token -> the highest of each id; special tokens have none (FlagEmbedding: cls, eos, pad, unk).
Output lexical(const Sequence& sequence, View<const float> weights, const std::vector<int32_t>& special) {
  std::map<int32_t, float> best;
  for (size_t t = 0; t < sequence.size(); ++t) {
    const int32_t id = sequence.ids[t];
    const float weight = weights.row(t)[0];
    if (!(weight > 0) || std::find(special.begin(), special.end(), id) != special.end()) continue;
    float& entry = best[id];
    entry = std::max(entry, weight);
  }
  Output out{"sparse", {best.size()}, {}, {}};
  for (const auto& [id, weight] : best) {
    out.ids.push_back(id);
    out.values.push_back(weight);
  }
  return out;
}

// A vector a token, for those that `keep` wants.
template <class Keep>
Output vectors(View<const float> rows, const Keep& keep) {
  Output out{"vectors", {0, rows.cols}, {}, {}};
  out.values.reserve(rows.rows * rows.cols);
  for (size_t t = 0; t < rows.rows; ++t) {
    if (!keep(t)) continue;
    out.values.insert(out.values.end(), rows.row(t), rows.row(t) + rows.cols);
    ++out.shape[0];
  }
  return out;
}

class LexicalOutput final : public OutputProcessor {
 public:
  explicit LexicalOutput(const OutputConfig& config) : head_(config.head.value_or(HeadResult{})) {
    if (head_.dense > 0) embedder_.emplace(config);
    max_active_ = config.spec->max_active_dims;
    for (const char* name : {"<s>", "</s>", "<pad>", "<unk>"}) {
      if (const auto id = config.tokenizer->id(name)) special_.push_back(*id);
    }
    if (!config.spec->late_interaction) return;
    const LateInteraction& late = *config.spec->late_interaction;
    late_ = true;
    skips_in_[static_cast<size_t>(Side::kQuery)] = late.skip_in_queries;
    skips_in_[static_cast<size_t>(Side::kDocument)] = late.skip_in_documents;
    for (const std::string& word : late.skipped_words) {
      if (const auto id = config.tokenizer->id(word)) skipped_.insert(*id);
    }
  }

  RowsNeeded rows_needed() const override { return RowsNeeded::kAll; }
  bool wants_prompt_tokens() const override { return embedder_ && embedder_->wants_prompt_tokens(); }
  size_t dimensions() const override { return embedder_ ? embedder_->dimensions() : head_.vectors; }

  Result<Response> process(const Sequence& sequence, View<const float> rows) const override {
    for (size_t r = 0; r < rows.rows; ++r) {
      if (!kernels::all_finite(rows.row(r), rows.cols)) return not_finite();
    }
    Response response;
    if (head_.vocabulary) response.outputs.push_back(entries(rows.row(0), head_.logits, max_active_));
    if (embedder_) {
      auto vector = embedder_->embed(sequence, rows.slice_cols(0, head_.dense));
      if (!vector.ok()) return vector.error();
      const size_t size = vector.value().size();
      response.outputs.push_back({"embedding", {size}, std::move(vector).value(), {}});
    }
    if (head_.lexical > 0) response.outputs.push_back(lexical(sequence, rows.slice_cols(head_.dense, 1), special_));
    if (head_.vectors > 0) {
      const bool skips = late_ && skips_in_[static_cast<size_t>(sequence.side)];
      response.outputs.push_back(vectors(rows.slice_cols(head_.dense + head_.lexical, head_.vectors), [&](size_t t) {
        // bge-m3's first vector is the sequence's own.
        return late_ ? !skips || !skipped_.contains(sequence.ids[t]) : t > 0;
      }));
    }
    return response;
  }

 private:
  HeadResult head_;
  std::optional<Embedder> embedder_;
  size_t max_active_ = 0;
  std::vector<int32_t> special_;
  bool late_ = false;                    // late interaction with sides
  std::array<bool, 2> skips_in_ = {};    // by Side
  std::unordered_set<int32_t> skipped_;  // tokens that are left out there
};

WDE_REGISTER(output_processors().add("lexical", [](const OutputConfig& config) {
  return std::make_unique<LexicalOutput>(config);
}));

}  // namespace
}  // namespace wde
