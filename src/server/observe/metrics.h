// Metrics: what /metrics tells, in Prometheus' text format. TEI's names, each with a label for the model, and our own.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/serving/admission.h"
#include "wde/response.h"
#include "wde/statistics.h"

namespace wde::server {

// One request that was answered.
struct Measured {
  std::string model;       // "" if none was reached
  std::string_view group;  // "embed", "predict" or ""
  bool batch = false;
  std::string_view failure;  // "" for success
  double seconds = 0;
  const std::vector<Response>* responses = nullptr;  // of a success
};

class Metrics {
 public:
  Metrics();
  ~Metrics();

  void count_http(std::string_view path, int status);  // the path of a route, never what a client made up
  void record(const Measured& measured);
  void set_connections(size_t open, size_t busy);
  void set_queue(const QueueUse& use);
  void set_spans(uint64_t sent, uint64_t dropped);  // so far
  void set_model(const std::string& name, bool ready);
  std::string text(const std::map<std::string, EngineStatistics>& engines);

 private:
  struct Families;
  std::unique_ptr<Families> families_;
};

}  // namespace wde::server
