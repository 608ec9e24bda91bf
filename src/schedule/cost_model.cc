#include "schedule/cost_model.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace wde {
namespace {

// A batch is worth so much of what the one after it is worth.
constexpr double kMemory = 1 - 1.0 / 64;
// How strongly a coefficient that the batches say nothing of is held to the guess, as a part of what all of them say.
constexpr double kHold = 0.00002;
// No coefficient falls below this part of its guess.
constexpr double kLeast = 0.02;
constexpr double kGuessedFixedTokens = 8;

double sum_of(const std::array<double, 3>& terms) { return terms[0] + terms[1] + terms[2]; }

// Solves the rows and columns of a symmetric, positive definite system that `free` names; the others are known.
void solve(const std::array<std::array<double, 3>, 3>& products, const std::array<double, 3>& targets,
           const std::array<bool, 3>& free, std::array<double, 3>& x) {
  std::array<std::array<double, 4>, 3> rows{};
  for (size_t i = 0; i < 3; ++i) {
    rows[i][i] = 1;
    rows[i][3] = x[i];
    if (!free[i]) continue;
    rows[i][3] = targets[i];
    for (size_t j = 0; j < 3; ++j) {
      rows[i][j] = free[j] ? products[i][j] : 0;
      if (!free[j]) rows[i][3] -= products[i][j] * x[j];
    }
  }
  for (size_t i = 0; i < 3; ++i) {
    for (size_t k = 0; k < 3; ++k) {
      if (k == i) continue;
      const double factor = rows[k][i] / rows[i][i];
      for (size_t j = 0; j < 4; ++j) rows[k][j] -= factor * rows[i][j];
    }
  }
  for (size_t i = 0; i < 3; ++i) x[i] = rows[i][3] / rows[i][i];
}

}  // namespace

CostModel::CostModel(ModelWork work, double operations) : work_(std::move(work)) {
  guess_[1] = std::max(work_.token_operations, 1.0) / operations;
  guess_[0] = kGuessedFixedTokens * guess_[1];
  guess_[2] = std::max(work_.pair_operations, 1e-3) / operations;
  for (size_t i = 0; i < kTerms; ++i) coefficients_[i] = guess_[i];
}

double CostModel::pairs(size_t tokens) const noexcept {
  const auto n = static_cast<double>(tokens);
  double all = 0;
  for (const ModelWork::Layers& layers : work_.layers) {
    // Of n queries, those near an end see fewer keys there.
    const auto side = [&](size_t keys) {
      const double w = std::min(static_cast<double>(std::min(keys, tokens)), n - 1);
      return n * w - w * (w + 1) / 2;
    };
    all += static_cast<double>(layers.count) * (n + side(layers.left) + side(layers.right));
  }
  return all;
}

double CostModel::seconds(size_t tokens) const noexcept {
  if (tokens == 0) return 0;
  return coefficients_[1].load(std::memory_order_relaxed) * static_cast<double>(tokens) +
         coefficients_[2].load(std::memory_order_relaxed) * pairs(tokens);
}

double CostModel::batch_seconds(std::span<const size_t> lengths) const noexcept {
  double sum = fixed_seconds();
  for (const size_t length : lengths) sum += seconds(length);
  return sum;
}

void CostModel::observe(std::span<const size_t> lengths, double measured) noexcept {
  if (lengths.empty() || !(measured > 0)) return;
  Terms terms{1, 0, 0};
  for (const size_t length : lengths) {
    if (length == 0) continue;
    terms[1] += static_cast<double>(length);
    terms[2] += pairs(length);
  }
  double estimated = 0;
  for (size_t i = 0; i < kTerms; ++i) {
    estimated += terms[i] * coefficients_[i].load(std::memory_order_relaxed);
    terms[i] *= guess_[i] / measured;
  }
  const std::scoped_lock lock(mutex_);
  const size_t before = observed_.fetch_add(1, std::memory_order_relaxed);
  const double off = std::abs(estimated / measured - 1);
  const double weight = std::max(1 - kMemory, 1 / static_cast<double>(before + 1));
  error_.store(before == 0 ? off : error_.load() + weight * (off - error_.load()), std::memory_order_relaxed);
  for (size_t i = 0; i < kTerms; ++i) {
    for (size_t j = 0; j < kTerms; ++j) products_[i][j] = kMemory * products_[i][j] + terms[i] * terms[j];
    targets_[i] = kMemory * targets_[i] + terms[i];
  }
  fit();
}

void CostModel::fit() noexcept {
  double all = 0;
  for (const Terms& row : products_) all += sum_of(row);
  const double scale = sum_of(targets_) / all;  // the one factor that makes the guess fit best
  if (!std::isfinite(scale) || scale <= 0) return;
  const double hold = kHold * all;
  std::array<Terms, kTerms> products = products_;
  Terms targets = targets_;
  for (size_t i = 0; i < kTerms; ++i) {
    products[i][i] += hold;
    targets[i] += hold * scale;
  }
  std::array<bool, kTerms> free{true, true, true};
  Terms x{};
  for (size_t round = 0; round < kTerms; ++round) {
    solve(products, targets, free, x);
    bool again = false;
    for (size_t i = 0; i < kTerms; ++i) {
      if (x[i] >= kLeast * scale) continue;
      again = again || free[i];
      free[i] = false;
      x[i] = kLeast * scale;
    }
    if (!again) break;
  }
  for (size_t i = 0; i < kTerms; ++i) coefficients_[i].store(guess_[i] * x[i], std::memory_order_relaxed);
}

}  // namespace wde
