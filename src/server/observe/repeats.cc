#include "server/observe/repeats.h"

namespace wde::server {

bool Repeats::allow(const std::string& kind, Time now) {
  std::scoped_lock lock(mutex_);
  auto found = windows_.find(kind);
  if (found == windows_.end()) {
    const bool full = windows_.size() >= kKinds;
    found = windows_.try_emplace(full ? "others" : kind, Window{now, 0}).first;
  }
  // A window that is over and has something to tell stays until that is told.
  Window& window = found->second;
  if (now - window.begin >= kWindow && window.lines <= kLines) window = {now, 0};
  if (++window.lines <= kLines) return true;
  ++left_out_;
  return false;
}

std::vector<Repeats::LeftOut> Repeats::take_left_out(Time now, bool last) {
  std::scoped_lock lock(mutex_);
  std::vector<LeftOut> out;
  for (auto it = windows_.begin(); it != windows_.end();) {
    const Window& window = it->second;
    if (!last && now - window.begin < kWindow) {
      ++it;
      continue;
    }
    if (window.lines > kLines) out.push_back({it->first, window.lines - kLines});
    it = windows_.erase(it);
  }
  return out;
}

uint64_t Repeats::left_out() const {
  std::scoped_lock lock(mutex_);
  return left_out_;
}

}  // namespace wde::server
