#include "server/server.h"

#include <atomic>
#include <set>
#include <utility>

namespace wde::server {

ServerEnd run_server(ServerOptions options) {
  // The handler must exist before the server, which listens first: a port in use is known before a model is loaded.
  struct Relay final : HttpHandler {
    App* app = nullptr;
    std::optional<HttpResponse> refuse(const HttpRequest& head) override { return app->refuse(head); }
    void handle(std::shared_ptr<HttpRequest> request, Respond respond) override {
      app->handle(std::move(request), std::move(respond));
    }
    HttpResponse refusal(int status, const std::string& reason) override { return app->refusal(status, reason); }
    void drain() override { app->drain(); }
  } relay;
  const auto server = HttpServer::create(options.http, relay);
  if (options.on_listening) options.on_listening(server->address());
  std::atomic<bool> not_loaded{false};
  std::set<std::string> loaded;  // once; only the loading thread looks at it
  App app(std::move(options.app), std::move(options.models), [&](const ModelState& state) {
    if (options.on_model) options.on_model(state);
    if (state.phase == ModelState::Phase::kReady) loaded.insert(state.name);
    // Better no server than one that answers half of what it was started for.
    if (state.phase == ModelState::Phase::kFailed && !loaded.contains(state.name)) {
      not_loaded = true;
      server->drain();
    }
  });
  relay.app = &app;
  app.set_counts([&server] { return server->counts(); });
  std::unique_ptr<SideDoor> grpc;
  if (options.grpc) grpc = open_grpc(*options.grpc, app);
  if (grpc && options.on_grpc) options.on_grpc(grpc->address());
  bool all_answered = server->run();
  if (grpc) all_answered = grpc->stop(all_answered ? options.http.drain_seconds : 0) && all_answered;
  app.shutdown(!all_answered);
  if (not_loaded) return ServerEnd::kNotLoaded;
  return all_answered ? ServerEnd::kDone : ServerEnd::kUnanswered;
}

}  // namespace wde::server
