// An engine for tests of what uses one beside it: it answers nothing.
#pragma once

#include <string>
#include <vector>

#include "wde/engine.h"

namespace wde::test {

class NoEngine : public Engine {
 public:
  using Engine::submit;
  RequestId submit(Request, Callback) override { return 0; }
  bool cancel(RequestId) override { return false; }
  void shutdown() override {}
  const EngineInfo& info() const override { return info_; }
  EngineStatistics statistics() const override { return {}; }
  double seconds(size_t tokens) const override { return 1e-6 * static_cast<double>(tokens); }
  // "3 ids"
  Result<std::string> decode(const std::vector<int32_t>& ids, bool) const override {
    return std::to_string(ids.size()) + " ids";
  }

 private:
  EngineInfo info_;
};

}  // namespace wde::test
