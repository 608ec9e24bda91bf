// What the routes see of HTTP: a whole request, and the response to it. No library of the network behind it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/net/memory_budget.h"

namespace wde::server {

using Clock = std::chrono::steady_clock;
using Headers = std::vector<std::pair<std::string, std::string>>;

// Tells those who work for a client that it has gone. Thread-safe.
class Cancellation {
 public:
  // `action` is called at most once, from any thread; at once if the client has gone already.
  void on_cancel(std::function<void()> action);
  void cancel();
  bool cancelled() const;

 private:
  mutable std::mutex mutex_;
  bool cancelled_ = false;
  std::function<void()> action_;
};

// Who asks: the connection, or where keys are used, the key.
struct Caller {
  uint64_t flow = 0;  // Sharing::flow
  double weight = 1;  // Sharing::weight
  int earliest = 0;   // of the priorities that its requests may have
};
// The flow of a caller that has a name: the same for the same name, and no connection's number.
uint64_t flow_of(std::string_view name);

struct Route;

struct HttpRequest {
  std::string method;
  std::string path;   // decoded, without the query
  std::string query;  // behind the "?", as it came
  Headers headers;    // names in lower case
  std::string body;
  std::string remote;  // the peer's address
  Caller caller;
  const Route* route = nullptr;              // of who knows more than the path says
  Clock::time_point arrival = Clock::now();  // of its first byte
  double seconds_since_arrival() const { return std::chrono::duration<double>(Clock::now() - arrival).count(); }
  std::shared_ptr<Cancellation> client = std::make_shared<Cancellation>();
  MemoryCharge memory;  // for the body, and what is made of it

  // The first one of this (lower-case) name; "" if there is none.
  std::string_view header(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  Headers headers;
  std::string body;
  bool close = false;  // the connection, behind it
};

// Called exactly once a request, from any thread.
using Respond = std::function<void(HttpResponse)>;

std::string_view status_text(int status);

// -1: it is none.
int hex_digit(char c);

// The decoded path and the query of a request's target ("/a%20b?c", "http://host/a", "*"). False: it is none.
bool split_target(std::string_view target, std::string& path, std::string& query);

// What makes the length of a request's body doubtful, as a sentence; "" if nothing does. Stricter than the parser,
// because two servers in a row that disagree about where a request ends let one client write another's requests.
// `version` is 10 or 11.
std::string framing_problem(int version, const Headers& headers);

}  // namespace wde::server
