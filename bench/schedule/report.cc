#include "report.h"

#include <algorithm>
#include <numeric>

namespace wde::simulation {

Figures figures_of(std::vector<double> values) {
  if (values.empty()) return {};
  const auto at = [&](double part) {
    const auto index = static_cast<ptrdiff_t>(part * static_cast<double>(values.size() - 1));
    std::nth_element(values.begin(), values.begin() + index, values.end());
    return values[static_cast<size_t>(index)];
  };
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  return {sum / static_cast<double>(values.size()), at(0.5), at(0.99)};
}

std::vector<Summary> summarize(const std::vector<ClientKind>& kinds, std::span<const Answered> answered) {
  std::vector<Summary> out;
  for (size_t k = 0; k <= kinds.size(); ++k) {
    std::vector<double> waits, slowdowns;
    for (const Answered& one : answered) {
      if (k < kinds.size() && one.kind != k) continue;
      waits.push_back(std::max(0.0, one.time - one.alone));
      slowdowns.push_back(std::max(1.0, one.time / one.alone));
    }
    if (waits.empty()) continue;
    const size_t requests = waits.size();
    out.push_back({k < kinds.size() ? kinds[k].name : "all", requests, figures_of(std::move(waits)),
                   figures_of(std::move(slowdowns))});
  }
  return out;
}

}  // namespace wde::simulation
