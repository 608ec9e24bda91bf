// CostModel: what a batch costs before it is computed. A batch of sequences with n_1, n_2, ... tokens takes a thread
//
//   seconds = fixed + linear * sum(n_i) + attention * sum(pairs(n_i))
//
// where pairs(n) counts the keys that n queries see in all layers: n * n in one that sees everything, n * window where
// it has one, about half under causal attention. The three coefficients begin as a guess of the model's size and are
// fitted to the batches that were measured (Bayesian least squares with an exponential memory of some 64 batches, on
// relative errors, so that short batches count as much as long ones).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <mutex>
#include <span>
#include <vector>

namespace wde {

// What a sequence is made of, as far as it costs.
struct ModelWork {
  double token_operations = 0;  // multiplications and additions of a token in products with weights
  double pair_operations = 0;   // ... of a query and a key in one layer
  struct Layers {
    size_t count = 0;
    size_t left = 0, right = 0;  // keys before and after a query that it sees; SIZE_MAX: all
  };
  std::vector<Layers> layers;
};

class CostModel {
 public:
  // `operations`: a second, of one thread; the guess that measurements replace.
  explicit CostModel(ModelWork work, double operations = 40e9);

  // Of a thread, for a sequence among others in a batch. Any thread.
  double seconds(size_t tokens) const noexcept;
  // Of a batch, on top of its sequences' seconds.
  double fixed_seconds() const noexcept { return coefficients_[0].load(std::memory_order_relaxed); }
  double batch_seconds(std::span<const size_t> lengths) const noexcept;

  // A batch took a thread so long, or several threads so long in sum. Any thread.
  void observe(std::span<const size_t> lengths, double seconds) noexcept;
  // Of the batches observed lately: mean of |estimate / measured - 1|, before each was learned from. 0 at first.
  double error() const noexcept { return error_.load(std::memory_order_relaxed); }
  size_t observed() const noexcept { return observed_.load(std::memory_order_relaxed); }

 private:
  static constexpr size_t kTerms = 3;
  using Terms = std::array<double, kTerms>;

  double pairs(size_t tokens) const noexcept;
  void fit() noexcept;

  const ModelWork work_;
  Terms guess_{};
  std::array<std::atomic<double>, kTerms> coefficients_;
  std::atomic<double> error_{0};
  std::atomic<size_t> observed_{0};

  std::mutex mutex_;  // guards what follows: the sums of the fit, in units of the guess
  std::array<Terms, kTerms> products_{};
  Terms targets_{};
};

}  // namespace wde
