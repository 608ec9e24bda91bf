#include "server/observe/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <map>

#include "server/observe/engine_metrics.h"
#include "server/observe/process_metrics.h"

namespace wde::server {
namespace {

using Buckets = prometheus::Histogram::BucketBoundaries;
using prometheus::Family;
using Labels = std::map<std::string, std::string>;

// TEI's: 35 steps of 1.5 from 15 microseconds.
Buckets duration_buckets() {
  Buckets out;
  double edge = 1.5e-5;
  for (int i = 0; i < 35; ++i, edge *= 1.5) out.push_back(edge);
  return out;
}

Buckets powers_of_two(int count) {
  Buckets out;
  double edge = 1;
  for (int i = 0; i <= count; ++i, edge *= 2) out.push_back(edge);
  return out;
}

// A request's values are put together before they are added, so that the histogram is locked once.
class Tally {
 public:
  explicit Tally(const Buckets& edges) : edges_(edges), counts_(edges.size() + 1) {}
  void add(double value) {
    ++counts_[static_cast<size_t>(std::lower_bound(edges_.begin(), edges_.end(), value) - edges_.begin())];
    sum_ += value;
  }
  void flush(prometheus::Histogram& histogram) const { histogram.ObserveMultiple(counts_, sum_); }

 private:
  const Buckets& edges_;
  std::vector<double> counts_;
  double sum_ = 0;
};

Labels of_class(const std::string& model, size_t priority) {
  return {{"model", model}, {"priority", std::string(kPriorityClasses[priority])}};
}

void raise(prometheus::Counter& counter, uint64_t total) {
  counter.Increment(std::max(0.0, static_cast<double>(total) - counter.Value()));
}

}  // namespace

struct Metrics::Families {
  prometheus::Registry registry;
  Buckets durations = duration_buckets();
  Buckets lengths = powers_of_two(16);

  Family<prometheus::Counter>& counter(const char* name, const char* help) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
  }
  Family<prometheus::Gauge>& gauge(const char* name, const char* help) {
    return prometheus::BuildGauge().Name(name).Help(help).Register(registry);
  }
  Family<prometheus::Histogram>& histogram(const char* name, const char* help) {
    return prometheus::BuildHistogram().Name(name).Help(help).Register(registry);
  }

  struct Stages {
    Family<prometheus::Histogram>&tokenization, &queue, &inference;
  };
  Stages stages(const std::string& prefix) {
    return {histogram((prefix + "_tokenization_duration").c_str(), "seconds of tokenizing a text and those with it"),
            histogram((prefix + "_queue_duration").c_str(), "seconds a text waited"),
            histogram((prefix + "_inference_duration").c_str(), "seconds of a text's batch")};
  }

  Family<prometheus::Counter>& http = counter("wde_http_requests_total", "HTTP responses by route and status");
  Family<prometheus::Counter>& tokens = counter("wde_tokens_total", "tokens computed, special ones included");
  Family<prometheus::Counter>& texts = counter("wde_texts_total", "texts and pairs answered");
  Family<prometheus::Counter>& truncated = counter("wde_truncated_texts_total", "texts cut to the maximum length");
  Family<prometheus::Counter>& spans =
      counter("wde_otlp_spans_total", "spans for the collector, by what became of them");
  Family<prometheus::Gauge>& connections = gauge("wde_connections", "open connections");
  Family<prometheus::Gauge>& buffered =
      gauge("wde_buffered_bytes", "bytes of bodies that are not answered and answers that are not read");
  Family<prometheus::Counter>& given_up =
      counter("wde_connections_given_up_total", "idle or stalled connections closed to make room for others");
  Family<prometheus::Counter>& log_lines =
      counter("wde_log_lines_dropped_total", "lines of the log that were not written, by reason");
  Family<prometheus::Gauge>& queue_tokens = gauge("wde_queue_tokens", "tokens (estimated) waiting or being computed");
  Family<prometheus::Gauge>& queue_bytes =
      gauge("wde_queue_bytes", "bytes of bodies waiting or being computed, and 256 for each text");
  Family<prometheus::Gauge>& queue_seconds =
      gauge("wde_queue_seconds", "seconds of all workers for what waits or is computed, by the cost model");
  Family<prometheus::Histogram>& wait =
      histogram("wde_wait_seconds", "seconds a text waited, by priority: below 0, 0, above 0");
  Family<prometheus::Gauge>& rate = gauge("wde_queue_tokens_per_second", "how fast the queue is worked off");
  Family<prometheus::Gauge>& ready = gauge("wde_model_ready", "1 if the model is loaded");
  Family<prometheus::Gauge>& queue_size = gauge("te_queue_size", "requests waiting or being computed");

  Family<prometheus::Counter>& count = counter("te_request_count", "requests");
  Family<prometheus::Counter>& success = counter("te_request_success", "requests answered");
  Family<prometheus::Counter>& failure = counter("te_request_failure", "requests refused or failed, by reason");
  Family<prometheus::Histogram>& duration = histogram("te_request_duration", "seconds from first byte to answer");
  Stages request = stages("te_request");
  Family<prometheus::Histogram>& length = histogram("te_request_input_length", "tokens of a text");
  Family<prometheus::Counter>& embed_count = counter("te_embed_count", "requests for embeddings");
  Family<prometheus::Counter>& embed_success = counter("te_embed_success", "such requests answered");
  Family<prometheus::Histogram>& embed_duration = histogram("te_embed_duration", "seconds of such a request");
  Stages embed = stages("te_embed");
  Family<prometheus::Counter>& predict_count = counter("te_predict_count", "requests for scores or labels");
  Family<prometheus::Counter>& predict_success = counter("te_predict_success", "such requests answered");
  Family<prometheus::Histogram>& predict_duration = histogram("te_predict_duration", "seconds of such a request");
  Stages predict = stages("te_predict");
};

Metrics::Metrics() : families_(std::make_unique<Families>()) {}
Metrics::~Metrics() = default;

void Metrics::count_http(std::string_view path, int status) {
  families_->http.Add({{"path", std::string(path)}, {"status", std::to_string(status)}}).Increment();
}

void Metrics::record(const Measured& measured) {
  Families& f = *families_;
  const Labels model = {{"model", measured.model}};
  const Labels method = {{"model", measured.model}, {"method", measured.batch ? "batch" : "single"}};
  f.count.Add(method).Increment();
  if (measured.group == "embed") f.embed_count.Add(model).Increment();
  if (measured.group == "predict") f.predict_count.Add(model).Increment();
  if (!measured.failure.empty()) {
    f.failure.Add({{"model", measured.model}, {"err", std::string(measured.failure)}}).Increment();
    return;
  }
  f.success.Add(method).Increment();
  f.duration.Add(model, f.durations).Observe(measured.seconds);
  if (measured.group == "embed") {
    f.embed_success.Add(model).Increment();
    f.embed_duration.Add(model, f.durations).Observe(measured.seconds);
  } else if (measured.group == "predict") {
    f.predict_success.Add(model).Increment();
    f.predict_duration.Add(model, f.durations).Observe(measured.seconds);
  }
  if (measured.responses == nullptr) return;
  Tally tokenization(f.durations), queue(f.durations), inference(f.durations), length(f.lengths);
  size_t tokens = 0, truncated = 0;
  for (const Response& response : *measured.responses) {
    tokenization.add(response.timing.tokenization());
    queue.add(response.timing.waiting());
    inference.add(response.timing.inference());
    length.add(static_cast<double>(response.tokens));
    tokens += response.tokens;
    truncated += response.truncated ? 1 : 0;
  }
  const auto observe = [&](Families::Stages& stages) {
    tokenization.flush(stages.tokenization.Add(model, f.durations));
    queue.flush(stages.queue.Add(model, f.durations));
    inference.flush(stages.inference.Add(model, f.durations));
  };
  observe(f.request);
  if (measured.group == "embed") observe(f.embed);
  if (measured.group == "predict") observe(f.predict);
  queue.flush(f.wait.Add(of_class(measured.model, priority_class(measured.priority)), f.durations));
  length.flush(f.length.Add(model, f.lengths));
  f.tokens.Add(model).Increment(static_cast<double>(tokens));
  f.texts.Add(model).Increment(static_cast<double>(measured.responses->size()));
  if (truncated > 0) f.truncated.Add(model).Increment(static_cast<double>(truncated));
}

void Metrics::set_server(const HttpCounts& counts, uint64_t lines_dropped, uint64_t lines_left_out) {
  families_->connections.Add({{"state", "open"}}).Set(static_cast<double>(counts.connections));
  families_->connections.Add({{"state", "busy"}}).Set(static_cast<double>(counts.busy));
  families_->buffered.Add({}).Set(static_cast<double>(counts.buffered));
  raise(families_->given_up.Add({}), counts.given_up);
  raise(families_->log_lines.Add({{"reason", "unread"}}), lines_dropped);
  raise(families_->log_lines.Add({{"reason", "repeated"}}), lines_left_out);
}

void Metrics::set_queue(const QueueUse& use) {
  for (const auto& [model, share] : use.by_model) {
    families_->queue_size.Add({{"model", model}}).Set(static_cast<double>(share.requests));
    families_->queue_tokens.Add({{"model", model}}).Set(static_cast<double>(share.tokens));
    families_->queue_bytes.Add({{"model", model}}).Set(static_cast<double>(share.bytes));
    for (size_t i = 0; i < share.seconds.size(); ++i) {
      families_->queue_seconds.Add(of_class(model, i)).Set(share.seconds[i]);
    }
  }
  families_->rate.Add({}).Set(use.tokens_per_second);
}

void Metrics::set_spans(uint64_t sent, uint64_t dropped) {
  raise(families_->spans.Add({{"outcome", "sent"}}), sent);
  raise(families_->spans.Add({{"outcome", "dropped"}}), dropped);
}

void Metrics::set_model(const std::string& name, bool ready) {
  const Labels model = {{"model", name}};
  families_->ready.Add(model).Set(ready ? 1 : 0);
  // So that an autoscaler finds them before the first request.
  for (auto* queue : {&families_->queue_size, &families_->queue_tokens, &families_->queue_bytes}) queue->Add(model);
  for (size_t i = 0; i < kPriorityClasses.size(); ++i) families_->queue_seconds.Add(of_class(name, i));
}

std::string Metrics::text(const std::map<std::string, EngineStatistics>& engines) {
  std::vector<prometheus::MetricFamily> all = families_->registry.Collect();
  add_engine_families(engines, all);
  add_process_families(all);
  return prometheus::TextSerializer().Serialize(all);
}

}  // namespace wde::server
