// Metrics: what /metrics tells, in Prometheus' text format. TEI's names, each with a label for the model, and our own.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/net/http_server.h"
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
  int priority = 0;                                  // likewise
};

class Metrics {
 public:
  Metrics();
  ~Metrics();

  void count_http(std::string_view path, int status);  // the path of a route, never what a client made up
  void record(const Measured& measured);
  // Of the lines of the log, so far: those that nobody took, and those that were like others.
  void set_server(const HttpCounts& counts, uint64_t lines_dropped, uint64_t lines_left_out);
  void set_queue(const QueueUse& use);
  void set_spans(uint64_t sent, uint64_t dropped);  // so far
  void set_model(const std::string& name, bool ready);
  std::string text(const std::map<std::string, EngineStatistics>& engines);

 private:
  struct Families;
  std::unique_ptr<Families> families_;
};

}  // namespace wde::server
