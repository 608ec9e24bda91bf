#include "server/observe/engine_metrics.h"

#include <functional>
#include <limits>
#include <utility>

namespace wde::server {
namespace {

using Engines = std::map<std::string, EngineStatistics>;
using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

// TEI's largest bounds, as powers of two.
constexpr size_t kMaxTexts = 12;
constexpr size_t kMaxTokens = 20;

MetricFamily family(const char* name, const char* help, MetricType type) {
  MetricFamily out;
  out.name = name;
  out.help = help;
  out.type = type;
  return out;
}

ClientMetric labelled(const std::string& model) {
  ClientMetric out;
  out.label.push_back({"model", model});
  return out;
}

MetricFamily counter(const char* name, const char* help, const Engines& engines,
                     const std::function<uint64_t(const EngineStatistics&)>& value) {
  MetricFamily out = family(name, help, MetricType::Counter);
  for (const auto& [model, statistics] : engines) {
    out.metric.push_back(labelled(model));
    out.metric.back().counter.value = static_cast<double>(value(statistics));
  }
  return out;
}

MetricFamily gauge(const char* name, const char* help, const Engines& engines,
                   const std::function<double(const EngineStatistics&)>& value) {
  MetricFamily out = family(name, help, MetricType::Gauge);
  for (const auto& [model, statistics] : engines) {
    out.metric.push_back(labelled(model));
    out.metric.back().gauge.value = value(statistics);
  }
  return out;
}

ClientMetric sizes(const std::string& model, const EngineStatistics::Sizes& counts, uint64_t sum, size_t largest) {
  ClientMetric out = labelled(model);
  uint64_t cumulative = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    cumulative += counts[i];
    if (i > largest) continue;
    out.histogram.bucket.push_back({cumulative, static_cast<double>(uint64_t{1} << i)});
  }
  out.histogram.bucket.push_back({cumulative, std::numeric_limits<double>::infinity()});
  out.histogram.sample_count = cumulative;
  out.histogram.sample_sum = static_cast<double>(sum);
  return out;
}

}  // namespace

void add_engine_families(const Engines& engines, std::vector<MetricFamily>& out) {
  MetricFamily texts = family("te_batch_next_size", "texts of a batch", MetricType::Histogram);
  MetricFamily tokens = family("te_batch_next_tokens", "tokens of a batch", MetricType::Histogram);
  MetricFamily busy = family("wde_stage_busy_seconds_total",
                             "seconds that threads were busy with a stage, summed over threads", MetricType::Counter);
  for (const auto& [model, statistics] : engines) {
    texts.metric.push_back(sizes(model, statistics.batches_by_texts, statistics.texts, kMaxTexts));
    tokens.metric.push_back(sizes(model, statistics.batches_by_tokens, statistics.tokens, kMaxTokens));
    for (size_t i = 0; i < statistics.busy_seconds.size(); ++i) {
      busy.metric.push_back(labelled(model));
      busy.metric.back().label.push_back({"stage", std::string(EngineStatistics::kStages[i])});
      busy.metric.back().counter.value = statistics.busy_seconds[i];
    }
  }
  out.push_back(std::move(texts));
  out.push_back(std::move(tokens));
  out.push_back(std::move(busy));
  out.push_back(counter("wde_padding_tokens_saved_total",
                        "tokens that padding every text to its batch's longest would have added", engines,
                        [](const EngineStatistics& s) { return s.padding_saved; }));
  out.push_back(gauge("wde_waiting_texts", "texts that an engine has and that are in no batch yet", engines,
                      [](const EngineStatistics& s) { return static_cast<double>(s.waiting); }));
  out.push_back(gauge("wde_workers", "threads that execute batches", engines,
                      [](const EngineStatistics& s) { return static_cast<double>(s.workers); }));
  out.push_back(gauge("wde_cost_error",
                      "by how much estimates of a batch's time were off lately: mean of |estimated / measured - 1|",
                      engines, [](const EngineStatistics& s) { return s.cost_error; }));
}

}  // namespace wde::server
