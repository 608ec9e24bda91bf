#include "server/server.h"

#include <atomic>
#include <exception>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "server/net/signals.h"

namespace wde::server {

namespace {

Doors::Reach reach_of(const HttpOptions& options, const HttpServer& server) {
  if (!options.unix_socket.empty()) return Doors::Reach::kUnixSocket;
  return server.on_loopback() ? Doors::Reach::kLoopback : Doors::Reach::kNetwork;
}

// On the thread of the signals: files are read there, and what they say is taken over by the server's.
void reload(HttpServer& server, SideDoor* grpc, App& app, AccessLog& log) {
  try {
    server.reload_tls();
    if (grpc != nullptr) grpc->reload_tls();
    log.event("SIGHUP: the certificate has been read again, if there is one");
  } catch (const std::exception& error) {
    log.event(std::string("SIGHUP: the certificate stays as it is: ") + error.what());
  }
  server.post([&app, &log] {
    try {
      app.doors().reload();
      log.event("SIGHUP: the keys have been read again, if they are in files");
    } catch (const std::exception& error) {
      log.event(std::string("SIGHUP: the keys stay as they are: ") + error.what());
    }
  });
}

}  // namespace

ServerEnd run_server(ServerOptions options) {
  std::optional<HeldSignals> held(std::in_place);
  // The handler must exist before the server, which listens first: a port in use is known before a model is loaded.
  struct Relay final : HttpHandler {
    App* app = nullptr;
    std::optional<HttpResponse> refuse(HttpRequest& head) override { return app->refuse(head); }
    void handle(std::shared_ptr<HttpRequest> request, Respond respond) override {
      app->handle(std::move(request), std::move(respond));
    }
    bool is_probe(const HttpRequest& head) override { return app->is_probe(head); }
    HttpResponse refusal(int status, const std::string& reason, const HttpRequest& request) override {
      return app->refusal(status, reason, request);
    }
    void drain() override { app->drain(); }
  } relay;
  const std::shared_ptr<AccessLog> log = options.app.log;
  const auto server = HttpServer::create(options.http, relay);
  if (options.on_listening) options.on_listening(server->address());
  std::atomic<ServerEnd> end{ServerEnd::kDone};
  std::set<std::string> loaded;  // once; only the loading thread looks at it
  App app(std::move(options.app), std::move(options.models), [&](const ModelState& state) {
    if (options.on_model) options.on_model(state);
    if (state.phase == ModelState::Phase::kReady) loaded.insert(state.name);
    // Better no server than one that answers half of what it was started for.
    if (state.phase == ModelState::Phase::kFailed && !loaded.contains(state.name)) {
      end = state.wrong_use ? ServerEnd::kWrongUse : ServerEnd::kNotLoaded;
      server->stop();
    }
  });
  relay.app = &app;
  app.set_counts([&server] { return server->counts(); });
  app.doors().set_reach(reach_of(options.http, *server), options.http.host);
  std::unique_ptr<SideDoor> grpc;
  if (options.grpc) grpc = open_grpc(*options.grpc, app);
  if (grpc && options.on_grpc) options.on_grpc(grpc->address());
  bool all_answered = true;
  {
    // Until the very end: whatever hangs on the way there, a second signal ends it.
    const Signals signals(
        {[&] { server->drain(); }, [&] { server->stop(); }, [&] { reload(*server, grpc.get(), app, *log); }});
    held.reset();
    all_answered = server->run();
    if (grpc) all_answered = grpc->stop(all_answered ? options.http.drain_seconds : 0) && all_answered;
    app.shutdown(!all_answered);
  }
  if (end != ServerEnd::kDone) return end;
  return all_answered ? ServerEnd::kDone : ServerEnd::kUnanswered;
}

}  // namespace wde::server
