// The engines' statistics as Prometheus has them. They are counted where the work is done and only read here.
// Includes prometheus-cpp: for metrics.cc alone.
#pragma once

#include <prometheus/metric_family.h>

#include <map>
#include <string>
#include <vector>

#include "wde/statistics.h"

namespace wde::server {

void add_engine_families(const std::map<std::string, EngineStatistics>& engines,
                         std::vector<prometheus::MetricFamily>& out);

}  // namespace wde::server
