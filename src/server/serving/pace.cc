#include "server/serving/pace.h"

#include <algorithm>

namespace wde::server {
namespace {

constexpr size_t kEnough = 2048;  // tokens that keep all workers busy
constexpr double kLongest = 1.0;  // seconds before what was measured is used
constexpr double kShortest = 0.25;
// With fewer tokens than kEnough, what held them up was not the computing, unless it took so long.
constexpr double kSlow = 30;
constexpr double kWeightOfNew = 0.3;

}  // namespace

void Pace::enter(const std::string& kind, size_t tokens, double guess, Time now) {
  Kind& own = kinds_[kind];
  if (!own.measured) own.cost = own.least = guess;
  left_ += tokens;
  if (measuring_ || left_ < kEnough) return;
  measuring_ = true;
  since_ = now;
  for (auto& [name, one] : kinds_) one.finished = 0;
}

void Pace::done(const std::string& kind, size_t tokens, Time now) {
  kinds_[kind].finished += tokens;
  left_ -= std::min(left_, tokens);
  if (!measuring_) return;
  measure(now, left_ < kEnough ? kShortest : kLongest);
  if (left_ < kEnough) measuring_ = false;
}

void Pace::leave(size_t tokens, Time now) {
  left_ -= std::min(left_, tokens);
  if (!measuring_ || left_ >= kEnough) return;
  measure(now, kShortest);
  measuring_ = false;
}

// Kinds that were worked on at the same time shared the processor: all their costs change by the same factor.
void Pace::measure(Time now, double shortest) {
  const double elapsed = std::chrono::duration<double>(now - since_).count();
  if (elapsed < shortest) return;
  double expected = 0;
  size_t finished = 0;
  for (const auto& [name, kind] : kinds_) {
    expected += static_cast<double>(kind.finished) * kind.cost;
    finished += kind.finished;
  }
  if (finished < kEnough && elapsed < kSlow) return;
  for (auto& [name, kind] : kinds_) {
    if (kind.finished == 0) continue;
    if (expected > 0) {
      const double weight = kind.measured ? kWeightOfNew : 1;
      kind.cost *= 1 + weight * (elapsed / expected - 1);
    } else {
      kind.cost = elapsed / static_cast<double>(kind.finished);
    }
    kind.measured = true;
    kind.least = std::min(kind.least, kind.cost);
    kind.finished = 0;
  }
  since_ = now;
}

double Pace::seconds(const std::string& kind, size_t tokens, double guess) const {
  const auto found = kinds_.find(kind);
  const bool known = found != kinds_.end() && found->second.measured;
  return static_cast<double>(tokens) * (known ? found->second.cost : guess);
}

double Pace::least_seconds(const std::string& kind, size_t tokens, double guess) const {
  const auto found = kinds_.find(kind);
  return static_cast<double>(tokens) * (found != kinds_.end() ? found->second.least : guess);
}

bool Pace::measured(const std::string& kind) const {
  const auto found = kinds_.find(kind);
  return found != kinds_.end() && found->second.measured;
}

}  // namespace wde::server
