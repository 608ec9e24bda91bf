// Every attention backend against naive, on every instruction set: all pairs of what a mask can ask for, grouped
// queries, prime lengths, mixed batches, single rows, shares of a team, rounded operands. What a backend does not
// honour, it refuses.
#include "attention/attn_backend.h"

#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <set>

#include "kernels/every_pairs_target.h"
#include "wde/engine.h"

namespace wde {
namespace {

using kernels::kNoWindow;
using kernels::test::expect_near;
using kernels::test::kCanary;
using kernels::test::kUnit;
using kernels::test::Random;

enum Factor {
  kHeads,
  kHeadDim,
  kCausal,
  kLeft,
  kRight,
  kCap,
  kAlibi,
  kBias,
  kDisentangled,
  kBatch,
  kRows,
  kUnseen,
  kFactors
};

const std::vector<HeadShape> kHeadShapes = {{2, 2, 0}, {4, 2, 0}, {3, 1, 0}, {6, 2, 0}, {1, 1, 0}};
const std::vector<size_t> kHeadDims = {16, 24, 64, 5};
const std::vector<int64_t> kWindows = {kNoWindow, 0, 3, 64, 300};
const std::vector<float> kCaps = {0.0f, 2.5f, 50.0f};
// Primes from 1 to 1,031, alone and mixed.
const std::vector<std::vector<size_t>> kBatches = {{1},
                                                   {2, 3, 5, 7, 11, 13},
                                                   {17, 1, 29, 1},
                                                   {53, 59},
                                                   {127, 131},
                                                   {31, 257, 2, 61, 1},
                                                   {509},
                                                   {523, 19},
                                                   {1019, 3},
                                                   {7, 1031},
                                                   {1, 1, 1},
                                                   {199, 211, 13}};
// Keys at a sequence's end that no query sees; one at least stays.
const std::vector<size_t> kUnseenKeys = {0, 1, 30};
const std::vector<size_t> kLevels = {5, 4, 2, 5, 5, 3, 2, 2, 4, 12, 2, 3};

using Choice = std::vector<size_t>;  // a level of each factor

// Choices in which every two levels of any two factors meet (greedy; the same on every run).
std::vector<Choice> all_pairs() {
  using Pair = std::array<size_t, 4>;
  std::set<Pair> missing;
  for (size_t f = 0; f < kFactors; ++f) {
    for (size_t g = f + 1; g < kFactors; ++g) {
      for (size_t x = 0; x < kLevels[f]; ++x) {
        for (size_t y = 0; y < kLevels[g]; ++y) missing.insert({f, x, g, y});
      }
    }
  }
  Random random(2024);
  std::vector<Choice> out;
  while (!missing.empty()) {
    Choice best;
    size_t best_covered = 0;
    for (int attempt = 0; attempt < 60; ++attempt) {
      Choice choice(kFactors);
      for (size_t f = 0; f < kFactors; ++f) choice[f] = random.next() % kLevels[f];
      const Pair& wanted = *missing.begin();
      choice[wanted[0]] = wanted[1];
      choice[wanted[2]] = wanted[3];
      size_t covered = 0;
      for (size_t f = 0; f < kFactors; ++f) {
        for (size_t g = f + 1; g < kFactors; ++g) covered += missing.count({f, choice[f], g, choice[g]});
      }
      if (covered > best_covered) best = choice, best_covered = covered;
    }
    for (size_t f = 0; f < kFactors; ++f) {
      for (size_t g = f + 1; g < kFactors; ++g) missing.erase({f, best[f], g, best[g]});
    }
    out.push_back(best);
  }
  return out;
}

// One layer's attention on one batch.
class Problem {
 public:
  explicit Problem(const Choice& choice) : heads_(kHeadShapes[choice[kHeads]]), causal_(choice[kCausal] != 0) {
    heads_.head_dim = kHeadDims[choice[kHeadDim]];
    cu_.push_back(0);
    size_t longest = 0;
    for (size_t length : kBatches[choice[kBatch]]) {
      cu_.push_back(cu_.back() + static_cast<int32_t>(length));
      longest = std::max(longest, length);
      if (kUnseenKeys[choice[kUnseen]] > 0)
        unseen_.push_back(static_cast<int32_t>(std::min(length - 1, kUnseenKeys[choice[kUnseen]])));
    }
    const auto tokens = static_cast<size_t>(cu_.back());
    Random random(choice[kBatch] * 977 + choice[kHeadDim] * 31 + choice[kHeads]);
    q_ = random.floats(tokens * q_width(), 2.0f);
    k_ = random.floats(tokens * kv_width(), 2.0f);
    v_ = random.floats(tokens * kv_width());
    mask_.scale = 1.0f / std::sqrt(static_cast<float>(heads_.head_dim));
    mask_.window_left = kWindows[choice[kLeft]];
    mask_.window_right = kWindows[choice[kRight]];
    mask_.soft_cap = kCaps[choice[kCap]];
    mask_.relative_span = longest + choice[kLeft];
    for (size_t h = 0; h < heads_.num_heads; ++h) slopes_.push_back(1.0f / static_cast<float>(2 << h));
    if (choice[kAlibi] != 0) mask_.alibi_slopes = slopes_.data();
    if (choice[kBias] != 0) {
      bias_ = random.floats(heads_.num_heads * (2 * mask_.relative_span - 1), 2.0f);
      mask_.relative_bias = bias_.data();
    }
    if (choice[kDisentangled] != 0) {
      mask_.positions = 12;
      for (size_t i = 0; i < 2 * mask_.relative_span - 1; ++i)
        index_.push_back(static_cast<int32_t>(random.next() % mask_.positions));
      mask_.relative_index = index_.data();
      if (choice[kDisentangled] != 2) c2p_ = random.floats(tokens * heads_.num_heads * mask_.positions, 2.0f);
      if (choice[kDisentangled] != 1) p2c_ = random.floats(tokens * heads_.num_heads * mask_.positions, 2.0f);
    }
    if (choice[kRows] != 0) need_some_rows();
  }

  // The rows at the ends of each sequence and at the borders of the kernels' blocks.
  void need_some_rows() {
    rows_.clear();
    for (size_t s = 0; s + 1 < cu_.size(); ++s) {
      const int32_t length = cu_[s + 1] - cu_[s];
      cu_rows_.push_back(static_cast<int32_t>(rows_.size()));
      for (int32_t i = 0; i < length; ++i) {
        if (i > 0 && i + 1 < length && i % 56 != 0 && i % 56 != 27 && i % 512 != 511) continue;
        rows_.push_back(cu_[s] + i);
        positions_.push_back(i);
      }
    }
    cu_rows_.push_back(static_cast<int32_t>(rows_.size()));
  }

  void take_bf16() { mask_.bf16 = true; }
  bool can_be_rounded() const { return heads_.head_dim % 2 == 0 && c2p_.empty() && p2c_.empty(); }
  const AttentionMask& mask() const { return mask_; }
  size_t q_width() const { return heads_.num_heads * heads_.head_dim; }
  size_t kv_width() const { return heads_.num_kv_heads * heads_.head_dim; }
  size_t tokens() const { return static_cast<size_t>(cu_.back()); }
  size_t longest() const { return mask_.relative_span; }

  // As `team` members compute it, one after the other; `rounded`: from operands in bfloat16.
  std::vector<float> run(AttnBackend& backend, size_t team = 1, bool rounded = false) const {
    backend.set_bidirectional(!causal_);
    AttentionBatch batch;
    batch.cu_seqlens = cu_;
    batch.unseen_lens = unseen_;
    batch.rounded = rounded;
    for (size_t s = 0; s + 1 < cu_.size(); ++s)
      batch.max_seqlen = std::max(batch.max_seqlen, static_cast<size_t>(cu_[s + 1] - cu_[s]));
    std::vector<float> q = q_, c2p = c2p_;
    const size_t table = heads_.num_heads * mask_.positions;
    if (!rows_.empty()) {
      batch.cu_rows = cu_rows_;
      batch.q_positions = positions_;
      q = take_rows(q_, q_width());
      if (!c2p_.empty()) c2p = take_rows(c2p_, table);
    }
    const size_t rows = q.size() / q_width();
    if (!c2p.empty()) batch.c2p = {c2p.data(), rows, table, table};
    if (!p2c_.empty()) batch.p2c = {p2c_.data(), tokens(), table, table};
    const std::vector<float> k = rounded ? halves(k_) : k_, v = rounded ? halves(v_) : v_;
    if (rounded) q = halves(q);
    const size_t q_floats = q.size() / rows, kv_floats = k.size() / tokens();
    std::vector<float> out(rows * q_width(), kCanary);
    for (size_t rank = 0; rank < team; ++rank) {
      std::vector<float> scratch(backend.scratch_floats(batch.max_seqlen, heads_) + 1, kCanary);
      backend.attend({q.data(), rows, q_floats, q_floats}, {k.data(), tokens(), kv_floats, kv_floats},
                     {v.data(), tokens(), kv_floats, kv_floats}, {out.data(), rows, q_width(), q_width()}, heads_,
                     mask_, batch, scratch.data(), Part{rank, team, nullptr});
      EXPECT_EQ(scratch.back(), kCanary) << "written beyond the scratch";
    }
    return out;
  }

  std::vector<float> take_rows(const std::vector<float>& all, size_t width) const {
    if (rows_.empty()) return all;
    std::vector<float> out;
    for (int32_t row : rows_) {
      const auto begin = all.begin() + static_cast<std::ptrdiff_t>(width) * row;
      out.insert(out.end(), begin, begin + static_cast<std::ptrdiff_t>(width));
    }
    return out;
  }

  // In bfloat16, two in a float.
  static std::vector<float> halves(const std::vector<float>& x) {
    std::vector<float> out(x.size() / 2);
    for (size_t i = 0; i < x.size(); ++i) {
      const uint16_t half = kernels::to_bf16(x[i]);
      std::memcpy(reinterpret_cast<char*>(out.data()) + 2 * i, &half, 2);
    }
    return out;
  }

  // A logit's error moves a weight by that fraction of itself, twice (numerator, sum). It is a sum of head_dim products
  // up to 4, one on the average, and of what the mask adds, each with its rounding; values are at most 1.
  double tolerance() const {
    double magnitude = mask_.scale * (static_cast<double>(heads_.head_dim) + 4);
    if (mask_.soft_cap > 0) magnitude += 2 * mask_.soft_cap;  // tanh itself is good to two units
    if (mask_.alibi_slopes) magnitude += static_cast<double>(mask_.relative_span);
    return 2 * 8 * kUnit * (magnitude + 2) + 1e-6;
  }

  std::string describe() const {
    std::string out = "lengths";
    for (size_t s = 0; s + 1 < cu_.size(); ++s) out += " " + std::to_string(cu_[s + 1] - cu_[s]);
    out += ", heads " + std::to_string(heads_.num_heads) + "/" + std::to_string(heads_.num_kv_heads) + " x " +
           std::to_string(heads_.head_dim) + (causal_ ? ", causal" : "") + ", window " +
           std::to_string(mask_.window_left) + ", " + std::to_string(mask_.window_right);
    if (mask_.soft_cap > 0) out += ", soft cap " + std::to_string(mask_.soft_cap);
    if (mask_.alibi_slopes) out += ", ALiBi";
    if (mask_.relative_bias) out += ", relative bias";
    if (!c2p_.empty()) out += ", c2p";
    if (!p2c_.empty()) out += ", p2c";
    if (!rows_.empty()) out += ", some rows";
    if (!unseen_.empty()) out += ", unseen keys";
    return out;
  }

 private:
  HeadShape heads_;
  bool causal_;
  AttentionMask mask_;
  std::vector<int32_t> cu_, cu_rows_, rows_, positions_, index_, unseen_;
  std::vector<float> q_, k_, v_, slopes_, bias_, c2p_, p2c_;
};

// What naive says of the rows that are compared; it runs once, not once an instruction set.
struct Expected {
  Choice choice;
  std::vector<float> rows;
};
const std::vector<Expected>& expected() {
  static const std::vector<Expected> all = [] {
    std::vector<Expected> out;
    const auto naive = attn_backends().get("naive")();
    for (const Choice& choice : all_pairs()) {
      Problem problem(choice);
      if (choice[kRows] == 0) problem.need_some_rows();
      out.push_back({choice, problem.run(*naive)});
    }
    return out;
  }();
  return all;
}

class AttnBackends : public kernels::test::EveryTarget {};
WDE_FOR_EVERY_TARGET(AttnBackends);

TEST_P(AttnBackends, AllPairsOfWhatAMaskCanAskFor) {
  if (const char* file = std::getenv("WDE_TEST_PLUGIN")) load_plugin(file);
  for (const std::string& name : attn_backends().names()) {
    const auto backend = attn_backends().get(name)();
    if (name == "naive" || !backend->alias_of().empty()) continue;
    size_t honoured = 0;
    for (const auto& [choice, want] : expected()) {
      const Problem problem(choice);
      if (kernels::test::too_slow_for(GetParam(), problem.longest())) continue;
      if (!backend->refuses(problem.mask()).empty()) continue;
      SCOPED_TRACE(name + ": " + problem.describe());
      ++honoured;
      const auto all = problem.run(*backend);
      if (choice[kRows] == 0) {
        Problem some(choice);
        some.need_some_rows();
        expect_near(some.take_rows(all, some.q_width()), want, problem.tolerance());
        const auto single = some.run(*backend);
        expect_near(single, want, problem.tolerance());
        if (backend->batch_invariant()) {
          EXPECT_EQ(single, some.take_rows(all, some.q_width())) << "single rows differ from the same among all";
        }
      } else {
        expect_near(all, want, problem.tolerance());
      }
      for (size_t team : {2, 3, 5}) {
        const auto shared = problem.run(*backend, team);
        expect_near(shared, all, problem.tolerance());
        if (backend->batch_invariant()) {
          EXPECT_EQ(shared, all) << "a team of " << team;
        }
      }
      if (HasFailure()) return;
    }
    EXPECT_GE(honoured, 10u) << name;
  }
}

class RoundedAttention : public kernels::test::EveryPairsTarget {};
WDE_FOR_EVERY_TARGET(RoundedAttention);

// Who rounds, the backend or whoever gives it the rows, changes nothing.
TEST_P(RoundedAttention, IsTheSameAsOfFloats) {
  size_t backends = 0;
  for (const std::string& name : attn_backends().names()) {
    const auto backend = attn_backends().get(name)();
    if (!backend->takes_rounded() || !backend->alias_of().empty()) continue;
    ++backends;
    size_t compared = 0;
    for (const auto& [choice, unused] : expected()) {
      Problem problem(choice);
      if (!problem.can_be_rounded() || kernels::test::too_slow_for(GetParam(), problem.longest())) continue;
      SCOPED_TRACE(name + ": " + problem.describe());
      ++compared;
      problem.take_bf16();
      const auto want = problem.run(*backend);
      for (size_t team : {1, 3}) ASSERT_EQ(problem.run(*backend, team, true), want) << "a team of " << team;
    }
    EXPECT_GE(compared, 5u) << name;
  }
  EXPECT_GE(backends, 1u);
}

// What no query sees may be anything; what each of them sees is the keys before it.
TEST(Attention, KeysThatAreUnseenChangeNothing) {
  const HeadShape heads{2, 2, 8};
  constexpr size_t kWidth = 16, kLength = 9, kUnseenTail = 4;
  Random random(7);
  const std::vector<float> q = random.floats(kLength * kWidth), v = random.floats(kLength * kWidth);
  std::vector<float> k = random.floats(kLength * kWidth);
  AttentionMask mask;
  mask.scale = 0.4f;
  const std::vector<int32_t> whole = {0, static_cast<int32_t>(kLength)}, shorter = {0, kLength - kUnseenTail},
                             unseen = {kUnseenTail};
  const auto naive = attn_backends().get("naive")();
  const auto attend = [&](const std::vector<int32_t>& lengths, std::span<const int32_t> tail) {
    const auto rows = static_cast<size_t>(lengths[1]);
    std::vector<float> out(rows * kWidth), scratch(naive->member_scratch_floats(kLength, heads));
    AttentionBatch batch;
    batch.cu_seqlens = lengths;
    batch.unseen_lens = tail;
    batch.max_seqlen = kLength;
    naive->attend({q.data(), rows, kWidth, kWidth}, {k.data(), rows, kWidth, kWidth}, {v.data(), rows, kWidth, kWidth},
                  {out.data(), rows, kWidth, kWidth}, heads, mask, batch, scratch.data());
    return out;
  };
  const std::vector<float> alone = attend(shorter, {}), seen = attend(whole, {});
  std::vector<float> filled = attend(whole, unseen);
  std::fill(k.end() - static_cast<std::ptrdiff_t>(kUnseenTail * kWidth), k.end(), 1e30f);
  EXPECT_EQ(attend(whole, unseen), filled);
  EXPECT_NE(filled, seen);
  filled.resize(alone.size());
  EXPECT_EQ(filled, alone);
}

}  // namespace
}  // namespace wde
