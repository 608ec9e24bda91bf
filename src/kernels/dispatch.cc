#include "kernels/dispatch.h"

#include "kernels/targets.h"

#include <hwy/targets.h>

namespace wde::kernels {

namespace {
// Bits of Highway's targets run from the best (lowest) to the worst.
std::vector<std::string> names(int64_t targets) {
  std::vector<std::string> out;
  for (int64_t bit = 1; bit > 0 && bit <= targets; bit <<= 1) {
    if ((targets & bit) != 0) out.emplace_back(hwy::TargetName(bit));
    if (bit == (int64_t{1} << 62)) break;
  }
  return out;
}
}  // namespace

std::vector<std::string> compiled_targets() { return names(HWY_TARGETS); }

std::vector<std::string> runnable_targets() { return names(hwy::SupportedTargets() & HWY_TARGETS); }

std::string active_target() {
  const auto runnable = runnable_targets();
  return runnable.empty() ? "none" : runnable.front();
}

void force_target(const std::string& name) {
  hwy::SetSupportedTargetsForTest(0);
  for (int64_t bit = 1; !name.empty() && bit > 0; bit <<= 1) {  // to 2^62, the scalar target
    if ((HWY_TARGETS & bit) != 0 && name == hwy::TargetName(bit)) hwy::SetSupportedTargetsForTest(bit);
  }
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

}  // namespace wde::kernels
