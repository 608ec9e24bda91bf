// HttpSession: one connection, request after request. Lives on the server's thread.
// Includes Asio: for http_*.cc alone.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "server/net/chunked.h"
#include "server/net/http_server.h"
#include "server/net/http_transport.h"

namespace wde::server {

// What a session has from its server.
struct SessionHost {
  const HttpOptions& options;
  HttpHandler& handler;
  std::function<void(std::function<void()>)> post;  // to the server's thread, from any
  size_t buffered_bytes = 0;                        // of all bodies that are being received or answered
  bool draining = false;
};

class HttpSession : public std::enable_shared_from_this<HttpSession> {
 public:
  HttpSession(SessionHost& host, std::shared_ptr<Transport> transport, std::string remote, bool excess);
  ~HttpSession();

  void start();
  bool closed() const { return state_ == State::kClosed; }
  // A request has begun and is not answered yet.
  bool busy() const { return state_ == State::kBody || state_ == State::kHandling || state_ == State::kWriting; }
  bool handling() const { return state_ == State::kHandling; }
  int descriptor() const { return transport_->descriptor(); }
  // The peer has gone away while its request was being worked on.
  void peer_gone();
  // Ends what takes too long, and when the server drains, what waits for nothing.
  void check_deadline(Clock::time_point now);
  void close();

 private:
  enum class State { kHandshake, kIdle, kHead, kBody, kHandling, kWriting, kLingering, kClosed };
  struct Parser;

  void begin_request();
  void read();
  void on_read(SystemError error, size_t size);
  void parse();
  bool parse_head();
  bool parse_body();
  bool accept_head();
  void send_continue();
  void finish_body();
  void refuse(int status, const std::string& reason);
  void send(HttpResponse response);
  void on_written(SystemError error);
  std::string too_large() const;
  bool account_body();
  void release_body();
  void set_deadline(double seconds);

  SessionHost& host_;
  std::shared_ptr<Transport> transport_;
  std::string remote_;
  bool excess_;
  State state_ = State::kHandshake;
  Clock::time_point deadline_;
  std::vector<char> buffer_;
  size_t begin_ = 0, end_ = 0;  // of what was read and not parsed
  std::unique_ptr<Parser> parser_;
  std::shared_ptr<HttpRequest> request_;
  size_t body_length_ = 0;                // by Content-Length
  std::optional<ChunkedDecoder> chunks_;  // by Transfer-Encoding
  bool whole_ = false;                    // the request was read to its end
  std::shared_ptr<Cancellation> client_;
  size_t accounted_ = 0;  // bytes of this body in host_.buffered_bytes
  bool reading_ = false;  // a read is under way, into the buffer
  bool keep_alive_ = true;
  bool head_only_ = false;
  std::string out_head_;
  std::string out_body_;
};

}  // namespace wde::server
