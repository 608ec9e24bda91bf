#include "server/observe/ledger.h"

namespace wde::server {

void Ledger::add(const std::string& model, const Engine& engine) {
  std::scoped_lock lock(mutex_);
  living_.push_back({model, &engine});
  retired_[model];
}

void Ledger::retire(const Engine& engine) {
  std::scoped_lock lock(mutex_);
  std::erase_if(living_, [&](const Entry& entry) {
    if (entry.engine != &engine) return false;
    EngineStatistics last = engine.statistics();
    last.waiting = last.workers = 0;
    last.cost_error = 0;
    retired_[entry.model] += last;
    return true;
  });
}

std::map<std::string, EngineStatistics> Ledger::read() const {
  std::scoped_lock lock(mutex_);
  std::map<std::string, EngineStatistics> out = retired_;
  for (const Entry& entry : living_) out[entry.model] += entry.engine->statistics();
  return out;
}

}  // namespace wde::server
