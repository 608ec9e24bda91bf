// HttpServer: listens on an address or a Unix socket, speaks HTTP/1.1 (keep-alive, pipelining, chunked bodies, TLS),
// and keeps hostile, slow and vanished clients away from the routes. One thread, the one that calls run(), does all of
// it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "server/net/http.h"

namespace wde::server {

struct HttpOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 8080;     // 0: any free one
  std::string unix_socket;  // a path: listen there, and not on host and port
  std::string tls_cert;     // PEM files; both or none
  std::string tls_key;
  size_t max_connections = 4096;
  size_t max_connections_per_address = 0;  // 0: as many as there may be
  size_t max_header_bytes = 16 << 10;
  size_t max_body_bytes = 16 << 20;
  size_t max_buffered_bytes = 256 << 20;  // of all bodies that are not answered, and answers that are not read
  double header_seconds = 10;             // from a request's first byte to the end of its header
  double body_seconds = 30;               // for a body, and a second more for every 64 KiB that came
  double write_seconds = 30;              // in which a response does not move; and for all of it, likewise
  double idle_seconds = 75;               // between two requests of a connection
  double drain_seconds = 30;
};

class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  // All on the thread of the server: return soon, do not throw.
  //
  // The header is there, the body is not: a response refuses the request without reading more. May say in it who asks.
  virtual std::optional<HttpResponse> refuse(HttpRequest& head) = 0;
  virtual void handle(std::shared_ptr<HttpRequest> request, Respond respond) = 0;
  // Whether this asks for the server's health: answered even if there are too many connections.
  virtual bool is_probe(const HttpRequest& head) = 0;
  // What the server itself refuses: a request that is no HTTP, too large, too slow, one connection too many. Of
  // `request` there is what was understood before.
  virtual HttpResponse refusal(int status, const std::string& reason, const HttpRequest& request) = 0;
  // Answer what you have, take no more.
  virtual void drain() = 0;
};

struct HttpCounts {
  size_t connections = 0;
  size_t busy = 0;      // connections with a request that is not answered yet
  size_t buffered = 0;  // bytes of bodies and answers
  size_t given_up = 0;  // connections that were closed to make room for others, ever
};

class HttpServer {
 public:
  // Listens already. Throws UsageError (address in use, no such host, …).
  static std::unique_ptr<HttpServer> create(HttpOptions options, HttpHandler& handler);
  virtual ~HttpServer() = default;

  virtual std::string address() const = 0;  // "http://127.0.0.1:8080"
  // Whether only this machine can reach it by TCP. A browser on it can, too, for any page of the world.
  virtual bool on_loopback() const = 0;
  // Until drain() and the answers to all requests, or the drain's time is over, or stop(). False: some requests were
  // not answered.
  virtual bool run() = 0;

  // All from any thread.
  //
  // Answers what has been taken, and with a refusal what still comes.
  virtual void drain() = 0;
  virtual void stop() = 0;  // at once
  // Reads certificate and key again, for new connections. Throws UsageError: the old ones stay.
  virtual void reload_tls() = 0;
  // On the thread of the server.
  virtual void post(std::function<void()> action) = 0;
  virtual HttpCounts counts() const = 0;
};

}  // namespace wde::server
