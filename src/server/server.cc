#include "server/server.h"

#include <utility>

namespace wde::server {

bool run_server(ServerOptions options) {
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
  App app(std::move(options.app), std::move(options.models), std::move(options.on_model));
  relay.app = &app;
  app.set_counts([&server] { return server->counts(); });
  if (options.on_listening) options.on_listening(server->address());
  const bool all_answered = server->run();
  app.shutdown();
  return all_answered;
}

}  // namespace wde::server
