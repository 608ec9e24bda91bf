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
#include "server/net/memory_budget.h"

namespace wde::server {

class HttpSession;

// What a session has from its server.
struct SessionHost {
  const HttpOptions& options;
  HttpHandler& handler;
  std::function<void(std::function<void()>)> post;  // to the server's thread, from any
  // Whether there is room for more bytes, perhaps at the cost of others.
  std::function<bool(size_t bytes, const HttpSession& asking)> make_room;
  std::shared_ptr<MemoryBudget> memory;
  uint64_t connections = 0;          // ever
  size_t unread_answers = 0;         // that are being written
  Clock::time_point last_arrival{};  // of a connection or a request
  bool draining = false;             // every answer is a connection's last
  bool closing = false;              // and who asks for nothing is closed
};

class HttpSession : public std::enable_shared_from_this<HttpSession> {
 public:
  // `place`: the network that is counted as connected for as long as the session is open. `only_probes`: there are too
  // many connections.
  HttpSession(SessionHost& host, std::shared_ptr<Transport> transport, std::string remote,
              std::shared_ptr<const std::string> place, bool only_probes);
  ~HttpSession();

  void start();
  bool closed() const { return state_ == State::kClosed; }
  // A request has begun and is not answered yet.
  bool busy() const { return state_ == State::kBody || state_ == State::kHandling || state_ == State::kWriting; }
  bool handling() const { return state_ == State::kHandling; }
  bool writing() const { return state_ == State::kWriting; }
  // No request has begun, and no answer is under way.
  bool quiet() const { return state_ == State::kIdle || closed(); }
  // The same, or it has said too little for too long.
  bool waits_for_nothing(Clock::time_point not_since) const;
  bool holds_memory() const { return state_ == State::kBody || state_ == State::kWriting; }
  // When bytes last went one way or the other.
  Clock::time_point moved_at() const { return moved_at_; }
  const std::string& network() const { return *place_; }  // of one that is open
  int descriptor() const { return transport_->descriptor(); }
  // The peer has gone away while its request was being worked on.
  void peer_gone();
  // Ends what takes too long, and when the server closes, what waits for nothing.
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
  bool charge_answer(size_t bytes);
  void write_more();
  void on_written();
  void release_answer();
  std::string too_large() const;
  bool charge_body();
  void moved() { moved_at_ = Clock::now(); }
  void set_deadline(double seconds);

  SessionHost& host_;
  std::shared_ptr<Transport> transport_;
  std::string remote_;
  const uint64_t connection_;  // its number
  std::shared_ptr<const std::string> place_;
  bool only_probes_;
  State state_ = State::kHandshake;
  Clock::time_point deadline_, moved_at_ = Clock::now();
  std::vector<char> buffer_;
  size_t begin_ = 0, end_ = 0;  // of what was read and not parsed
  std::unique_ptr<Parser> parser_;
  std::shared_ptr<HttpRequest> request_;
  size_t body_length_ = 0;                // by Content-Length
  std::optional<ChunkedDecoder> chunks_;  // by Transfer-Encoding
  bool whole_ = false;                    // the request was read to its end
  std::shared_ptr<Cancellation> client_;
  bool reading_ = false;  // a read is under way, into the buffer
  bool keep_alive_ = true;
  bool head_only_ = false;
  std::string out_head_;
  std::string out_body_;
  size_t written_ = 0;  // bytes of both
  MemoryCharge answer_;
};

}  // namespace wde::server
