// Calls: those that are running. Each takes its messages to the App and brings the answers back, in their order.
#pragma once

#include <grpcpp/generic/async_generic_service.h>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <set>
#include <stop_token>
#include <thread>
#include <vector>

#include "server/serving/app.h"

namespace wde::grpc_door {

class Call;

class Calls {
 public:
  Calls(server::App& app, size_t max_calls, size_t max_bytes, double idle_seconds);

  // The call ends itself.
  grpc::ServerGenericBidiReactor* start(grpc::GenericCallbackServerContext& context);
  // Ends those that wait for their client, and lets others finish what they have.
  void drain();
  // False: some still run.
  bool wait(std::chrono::duration<double> time);

  server::App& app() { return app_; }
  size_t max_bytes() const { return max_bytes_; }
  void ended(const std::shared_ptr<Call>& call);

 private:
  void sweep(const std::stop_token& stop);
  std::vector<std::shared_ptr<Call>> running() const;

  server::App& app_;
  const size_t max_calls_, max_bytes_;
  const std::chrono::duration<double> idle_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::set<std::shared_ptr<Call>> running_;
  bool draining_ = false;
  std::jthread sweeper_;  // ends calls whose client is silent
};

}  // namespace wde::grpc_door
