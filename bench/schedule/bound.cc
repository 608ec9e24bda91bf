#include "bound.h"

namespace wde::simulation {
namespace {

// FairQueue's kPace and kAgeing, the other way round: clocks move at this part of an equal pace at least.
constexpr double kSlowest = 2, kSlowestAgeing = 8;

// Work of the flow until the request has begun.
double within_flow(const Limits& l, const Company& company, double request) {
  if (company.requests == 1) return request;
  const auto requests = static_cast<double>(company.requests);
  return kSlowestAgeing * requests * (request + l.batch) + l.text + requests * company.longest_request;
}

// Work of the priority until the flow has had so much.
double within_priority(const Limits& l, const Company& company, double work, double weight) {
  if (company.flows == 1) return work;
  const double lead = std::max(l.batch + l.text, l.uncut) / weight;
  const double until_ahead =
      kSlowest * company.weights * (lead + (work + l.text) / weight + (l.batch + l.text) / l.least_weight) + l.text;
  const double behind = company.weights * (l.batch + 2 * l.text) / l.least_weight + l.text / kSlowest +
                        static_cast<double>(company.flows) * l.text;
  return until_ahead + behind + work;
}

// Work of all until the priority has had so much.
double within_all(const Limits& l, const Company& company, double work, bool earliest) {
  if (company.classes == 1) return work;
  const auto later = static_cast<double>(company.classes - 1);
  const double batch = std::max(l.batch, l.text);
  const double saved = later * (l.batch + batch);
  if (earliest) return (work + 2 * saved) / (1 - l.bulk_share);
  return (work + (later + 1) * (saved + batch)) / (l.bulk_share / later * (1 - l.bulk_share));
}

}  // namespace

Limits Limits::of(const Scenario& scenario) {
  Limits out;
  size_t longest = 0;
  out.least_weight = std::numeric_limits<double>::infinity();
  for (const ClientKind& kind : scenario.kinds) {
    longest = std::max(longest, kind.most_tokens);
    out.least_weight = std::min(out.least_weight, kind.weight);
  }
  out.fixed = scenario.cost->fixed_seconds();
  out.batch = std::max(scenario.server.batch_seconds, 5 * out.fixed);
  out.text = out.fixed + scenario.cost->seconds(longest);
  // Of a given number of tokens the longest texts cost most.
  const double part = static_cast<double>(scenario.server.batch_tokens) / static_cast<double>(longest);
  out.uncut = std::max(out.text, out.fixed + std::max(1.0, part) * scenario.cost->seconds(longest));
  out.bulk_share = scenario.server.bulk_share;
  out.workers = scenario.server.workers;
  out.batches = 2 * scenario.server.workers;
  return out;
}

double longest_wait(const Limits& limits, const Company& company, double request, double weight, bool earliest) {
  const double of_flow = within_flow(limits, company, request);
  const double of_priority = within_priority(limits, company, of_flow, weight);
  const double of_all = within_all(limits, company, of_priority, earliest);
  const double before = static_cast<double>(limits.batches) * std::max({limits.batch, limits.text, limits.uncut});
  return (before + of_all) / static_cast<double>(limits.workers);
}

void BoundWatcher::arrived(const Text& text) {
  ++time_;
  PriorityClass& of_priority = classes_[text.priority];
  Flow& flow = of_priority.flows[text.flow];
  if (flow.requests.empty()) {
    of_priority.weights += text.weight;
    if (of_priority.flows.size() == 1) ++waiting_classes_;
  }
  Request& request = flow.requests[text.request];
  flow.longest_request = std::max(flow.longest_request, text.request_work);
  if (request.waiting++ == 0) request.since = time_;
  flow.most.set(time_, static_cast<double>(flow.requests.size()));
  of_priority.most_flows.set(time_, static_cast<double>(of_priority.flows.size()));
  of_priority.most_weights.set(time_, of_priority.weights);
  most_classes_.set(time_, static_cast<double>(waiting_classes_));
}

void BoundWatcher::taken(const Text& text, double /*now*/) {
  ++time_;
  PriorityClass& of_priority = classes_.at(text.priority);
  Flow& flow = of_priority.flows.at(text.flow);
  Request& request = flow.requests.at(text.request);
  Company company;
  company.requests = static_cast<size_t>(flow.most.since(request.since));
  company.longest_request = flow.longest_request;
  company.flows = static_cast<size_t>(of_priority.most_flows.since(request.since));
  company.weights = of_priority.most_weights.since(request.since);
  company.classes = static_cast<size_t>(most_classes_.since(request.since));
  if (bounds_.size() <= text.id) bounds_.resize(text.id + 1);
  const bool earliest =
      std::none_of(kinds_.begin(), kinds_.end(), [&](const ClientKind& kind) { return kind.priority < text.priority; });
  bounds_[text.id] = longest_wait(limits_, company, text.request_work, text.weight, earliest);
  if (--request.waiting > 0) return;
  flow.requests.erase(text.request);
  if (!flow.requests.empty()) return flow.most.set(time_, static_cast<double>(flow.requests.size()));
  of_priority.flows.erase(text.flow);
  of_priority.weights -= text.weight;
  of_priority.most_flows.set(time_, static_cast<double>(of_priority.flows.size()));
  of_priority.most_weights.set(time_, of_priority.weights);
  if (!of_priority.flows.empty()) return;
  of_priority.weights = 0;
  most_classes_.set(time_, static_cast<double>(--waiting_classes_));
}

void BoundWatcher::begun(const Text& text, double now) {
  const double waited = now - text.arrival;
  const double bound = bounds_[text.id];
  ++texts_;
  if (waited > bound) ++beyond_;
  worst_ = std::max(worst_, waited / bound);
  longest_ = std::max(longest_, waited);
  least_bound_ = std::min(least_bound_, bound);
}

}  // namespace wde::simulation
