// What Prometheus' own client libraries tell of a process, under their names, and which build this is.
#pragma once

#include <prometheus/metric_family.h>

#include <vector>

namespace wde::server {

// What the system does not tell is left out.
void add_process_families(std::vector<prometheus::MetricFamily>& families);

}  // namespace wde::server
