#include "server/serving/headers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "server/net/http_gzip.h"
#include "server/serving/group.h"

namespace wde::server {
namespace {

// Shorter answers are sent sooner than compressed. Longer ones are never made on the engine's threads.
constexpr size_t kWorthCompressing = 64 << 10;
static_assert(kWorthCompressing > 12 * kShortAnswer);  // in JSON

std::string milliseconds(double seconds) { return fmt::to_string(std::llround(seconds * 1000)); }

}  // namespace

void add_timing_headers(const std::vector<Response>& responses, size_t characters, size_t tokens, double seconds,
                        HttpResponse& response) {
  double tokenization = 0, waiting = 0, inference = 0;
  for (const Response& one : responses) {
    tokenization += one.timing.tokenization();
    waiting += one.timing.waiting();
    inference += one.timing.inference();
  }
  const double count = std::max<double>(1, static_cast<double>(responses.size()));
  response.headers.emplace_back("x-compute-type", "cpu+optimized");
  response.headers.emplace_back("x-compute-time", milliseconds(seconds));
  response.headers.emplace_back("x-compute-characters", fmt::to_string(characters));
  response.headers.emplace_back("x-compute-tokens", fmt::to_string(tokens));
  response.headers.emplace_back("x-total-time", milliseconds(seconds));
  response.headers.emplace_back("x-tokenization-time", milliseconds(tokenization / count));
  response.headers.emplace_back("x-queue-time", milliseconds(waiting / count));
  response.headers.emplace_back("x-inference-time", milliseconds(inference / count));
}

void add_warnings(const std::vector<std::string>& warnings, size_t truncated, HttpResponse& response) {
  if (truncated > 0) response.headers.emplace_back("x-truncated-inputs", fmt::to_string(truncated));
  for (const std::string& warning : warnings) response.headers.emplace_back("x-warning", warning);
}

void compress(const HttpRequest& request, HttpResponse& response) {
  if (response.body.size() < kWorthCompressing) return;
  for (const auto& [name, value] : response.headers) {
    if (name == "Content-Encoding") return;
  }
  response.headers.emplace_back("Vary", "Accept-Encoding");
  if (!accepts_gzip(request.header("accept-encoding"))) return;
  std::optional<std::string> smaller = gzip(response.body);
  if (!smaller) return;
  response.body = std::move(*smaller);
  response.headers.emplace_back("Content-Encoding", "gzip");
}

}  // namespace wde::server
