#include "clients.h"

#include <map>
#include <stdexcept>

namespace wde::simulation {
namespace {

ClientKind queries(size_t clients, double work) {
  return {.name = "query", .clients = clients, .work = work, .least_tokens = 4, .most_tokens = 20};
}

ClientKind reranks(size_t clients, double work) {
  return {.name = "rerank",
          .clients = clients,
          .work = work,
          .least_texts = 32,
          .most_texts = 32,
          .least_tokens = 60,
          .most_tokens = 200};
}

ClientKind bulk(size_t clients, double work, Arrivals arrivals) {
  return {.name = "bulk",
          .clients = clients,
          .arrivals = arrivals,
          .work = work,
          .least_texts = 64,
          .most_texts = 2048,
          .least_tokens = 200,
          .most_tokens = 300};
}

ClientKind later(ClientKind kind) {
  kind.priority = 1;
  return kind;
}

ClientKind reconnecting(ClientKind kind) {
  kind.reconnects = true;
  return kind;
}

const std::map<std::string, std::vector<ClientKind>>& traces() {
  static const std::map<std::string, std::vector<ClientKind>> all{
      {"mixed", {queries(8, 0.05), reranks(4, 0.25), bulk(4, 0.70, Arrivals::kPoisson)}},
      {"bursty", {queries(8, 0.05), reranks(4, 0.25), bulk(4, 0.70, Arrivals::kBursts)}},
      {"priorities", {queries(8, 0.05), reranks(4, 0.25), later(bulk(4, 0.70, Arrivals::kPoisson))}},
      {"connections", {reconnecting(queries(8, 0.30)), bulk(4, 0.70, Arrivals::kPoisson)}},
  };
  return all;
}

}  // namespace

double mean_work(const ClientKind& kind, const CostModel& cost, size_t batch_tokens) {
  constexpr size_t kDraws = 4096;
  Random random(1);
  double sum = 0;
  size_t texts = 0;
  for (size_t i = 0; i < kDraws; ++i) texts += random.between_in_scale(kind.least_texts, kind.most_texts);
  double tokens = 0;
  for (size_t i = 0; i < kDraws; ++i) {
    const size_t length = random.between(kind.least_tokens, kind.most_tokens);
    sum += cost.seconds(length);
    tokens += static_cast<double>(length);
  }
  const double a_request = static_cast<double>(texts) / kDraws;
  const double batches = std::max(1.0, a_request * tokens / kDraws / static_cast<double>(batch_tokens));
  return a_request * sum / kDraws + batches * cost.fixed_seconds();
}

std::vector<ClientKind> trace(const std::string& name) {
  const auto found = traces().find(name);
  if (found == traces().end()) throw std::invalid_argument("no trace is called '" + name + "'");
  return found->second;
}

std::vector<std::string> trace_names() {
  std::vector<std::string> names;
  for (const auto& [name, kinds] : traces()) names.push_back(name);
  return names;
}

CostModel small_model(double operations) {
  return CostModel({.token_operations = 21.2e6, .pair_operations = 1536, .layers = {{6, SIZE_MAX, SIZE_MAX}}},
                   operations);
}

}  // namespace wde::simulation
