// Ledger: what each model's engines have done, the ones that have ended included, so that no count ever falls.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "wde/engine.h"

namespace wde::server {

class Ledger {
 public:
  void add(const std::string& model, const Engine& engine);
  // Before the engine is destroyed, and after it has answered everything.
  void retire(const Engine& engine);

  std::map<std::string, EngineStatistics> read() const;  // by model

 private:
  struct Entry {
    std::string model;
    const Engine* engine = nullptr;
  };

  mutable std::mutex mutex_;
  std::vector<Entry> living_;
  std::map<std::string, EngineStatistics> retired_;
};

}  // namespace wde::server
