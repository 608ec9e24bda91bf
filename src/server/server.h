// The server as a whole, for `wde serve`.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "server/net/http_server.h"
#include "server/serving/app.h"
#include "server/serving/side_door.h"

namespace wde::server {

struct ServerOptions {
  HttpOptions http;
  AppOptions app;
  std::vector<ServedModel> models;
  // Told when it listens (with the address), and of every model that is ready or failed.
  std::function<void(const std::string& address)> on_listening;
  std::optional<SideDoorOptions> grpc;
  std::function<void(const std::string& address)> on_grpc;
  std::function<void(const ModelState&)> on_model;
};

enum class ServerEnd {
  kDone,        // a signal came, and what had been taken was answered
  kUnanswered,  // it was not
  kNotLoaded,   // a model could not be loaded at the start
  kWrongUse,    // likewise, because of a setting that does not fit it
};

// Serves until a signal ends it, or a model cannot be loaded. Throws UsageError.
ServerEnd run_server(ServerOptions options);

}  // namespace wde::server
