#include "server/net/http_session.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <cctype>
#include <charconv>
#include <cstring>
#include <ctime>
#include <utility>

namespace wde::server {
namespace {

namespace http = boost::beast::http;

constexpr size_t kFirstBuffer = 4 << 10;
constexpr size_t kBodyBuffer = 64 << 10;
constexpr size_t kMaxHeaders = 100;
constexpr double kBytesPerSecond = 64 << 10;  // the slowest peer that is waited for
constexpr double kLingerSeconds = 5;
constexpr size_t kShortAnswer = 16 << 10;

// "Sun, 06 Nov 1994 08:49:37 GMT", made once a second.
const std::string& http_date() {
  thread_local std::time_t last = 0;
  thread_local std::string text;
  const std::time_t now = std::time(nullptr);
  if (now != last) {
    last = now;
    char out[64];
    std::tm parts{};
    ::gmtime_r(&now, &parts);
    text.assign(out, std::strftime(out, sizeof out, "%a, %d %b %Y %H:%M:%S GMT", &parts));
  }
  return text;
}

// A header's value never ends its line.
void append_header(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  out += ": ";
  for (char c : value) {
    if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7F) out += c;
  }
  out += "\r\n";
}

}  // namespace

// For the header alone; what follows it is read here.
struct HttpSession::Parser : http::request_parser<http::empty_body> {};

HttpSession::HttpSession(SessionHost& host, std::shared_ptr<Transport> transport, std::string remote,
                         std::shared_ptr<const std::string> place, bool only_probes)
    : host_(host),
      transport_(std::move(transport)),
      remote_(std::move(remote)),
      connection_(++host.connections),
      place_(std::move(place)),
      only_probes_(only_probes) {}

HttpSession::~HttpSession() = default;

bool HttpSession::waits_for_nothing(Clock::time_point not_since) const {
  if (state_ == State::kIdle || state_ == State::kLingering) return true;
  return (state_ == State::kHandshake || state_ == State::kHead) && moved_at_ < not_since;
}

void HttpSession::set_deadline(double seconds) {
  deadline_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

void HttpSession::start() {
  host_.last_arrival = Clock::now();
  set_deadline(host_.options.header_seconds);
  transport_->handshake([self = shared_from_this()](SystemError error, size_t) {
    if (self->closed()) return;
    if (error) return self->close();
    self->begin_request();
    // A connection that has never said anything is given less time than one that has.
    self->set_deadline(self->host_.options.header_seconds);
  });
}

void HttpSession::begin_request() {
  parser_ = std::make_unique<Parser>();
  parser_->header_limit(static_cast<std::uint32_t>(host_.options.max_header_bytes));
  parser_->body_limit(boost::none);
  request_ = std::make_shared<HttpRequest>();
  request_->remote = remote_;
  request_->caller.flow = connection_;
  request_->memory = MemoryCharge(host_.memory);
  chunks_.reset();
  body_length_ = 0;
  whole_ = false;
  keep_alive_ = false;
  head_only_ = false;
  state_ = State::kIdle;
  set_deadline(host_.options.idle_seconds);
  if (begin_ == end_) {
    if (buffer_.size() > kFirstBuffer) buffer_ = {};
    read();
  } else {
    parse();
  }
}

void HttpSession::read() {
  if (reading_) return;
  reading_ = true;
  if (begin_ == end_) begin_ = end_ = 0;
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (buffer_.size() - end_ < kFirstBuffer / 4) {
    buffer_.resize(std::max({kFirstBuffer, 2 * buffer_.size(), state_ == State::kBody ? kBodyBuffer : size_t{0}}));
  }
  transport_->read_some(buffer_.data() + end_, buffer_.size() - end_,
                        [self = shared_from_this()](SystemError error, size_t n) { self->on_read(error, n); });
}

void HttpSession::on_read(SystemError error, size_t size) {
  reading_ = false;
  if (closed()) return;
  if (error) return close();
  if (state_ == State::kWriting) return;  // a refusal that did not wait for the rest
  if (state_ == State::kLingering) {
    begin_ = end_ = 0;
    return read();
  }
  end_ += size;
  moved();
  parse();
}

// Takes as much from the buffer as there is, and asks for more where that is not enough.
void HttpSession::parse() {
  if (state_ == State::kIdle) {
    state_ = State::kHead;
    request_->arrival = host_.last_arrival = Clock::now();
    set_deadline(host_.options.header_seconds);
  }
  if (state_ == State::kHead && !parse_head()) return;
  if (state_ == State::kBody && !parse_body()) return;
  if (state_ == State::kBody) finish_body();
}

bool HttpSession::parse_head() {
  SystemError error;
  begin_ += parser_->put(asio::const_buffer(buffer_.data() + begin_, end_ - begin_), error);
  if (error == http::error::need_more || (!error && !parser_->is_header_done())) {
    if (end_ - begin_ > host_.options.max_header_bytes) {
      refuse(431, "the request's header is too large");
    } else {
      read();
    }
    return false;
  }
  if (error == http::error::header_limit) {
    refuse(431, "the request's header is too large");
  } else if (error == http::error::bad_version) {
    refuse(505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
  } else if (error) {
    refuse(400, "this is no HTTP/1.1 request: " + error.message());
  } else {
    return accept_head();
  }
  return false;
}

// The gate in front of every body.
bool HttpSession::accept_head() {
  const auto& message = parser_->get();
  HttpRequest& request = *request_;
  request.method = std::string(message.method_string());
  for (const auto& field : message) {
    std::string name(field.name_string());
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    request.headers.emplace_back(std::move(name), std::string(field.value()));
  }
  head_only_ = request.method == "HEAD";
  if (request.headers.size() > kMaxHeaders) {
    refuse(431, "the request has too many headers");
    return false;
  }
  const std::string problem = framing_problem(static_cast<int>(message.version()), request.headers);
  if (!problem.empty()) {
    refuse(400, problem);
    return false;
  }
  const auto target = message.target();
  if (!split_target(std::string_view(target.data(), target.size()), request.path, request.query)) {
    refuse(400, "the request's target is no path");
    return false;
  }
  const std::string_view expected = request.header("expect");
  const bool wants_continue = !expected.empty() && message.version() >= 11;
  if (wants_continue && expected != "100-continue" && expected != "100-Continue") {
    refuse(417, "the only expectation that can be met is 100-continue");
    return false;
  }
  // framing_problem() has made sure of what these say.
  const std::string_view length = request.header("content-length");
  std::from_chars(length.data(), length.data() + length.size(), body_length_);
  if (!request.header("transfer-encoding").empty()) chunks_.emplace(host_.options.max_body_bytes);
  whole_ = !chunks_ && body_length_ == 0;
  if (body_length_ > host_.options.max_body_bytes) {
    refuse(413, too_large());
    return false;
  }
  if (only_probes_ && !host_.handler.is_probe(request)) {
    refuse(503, "there are too many connections");
    return false;
  }
  if (auto refusal = host_.handler.refuse(request)) {
    keep_alive_ = whole_ && parser_->keep_alive();
    send(std::move(*refusal));
    return false;
  }
  keep_alive_ = parser_->keep_alive() && !only_probes_;
  state_ = State::kBody;
  set_deadline(host_.options.body_seconds);
  if (wants_continue && !whole_ && begin_ == end_) {
    send_continue();
    return false;
  }
  return true;
}

std::string HttpSession::too_large() const {
  return fmt::format("the body is larger than {} bytes", host_.options.max_body_bytes);
}

void HttpSession::send_continue() {
  static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  transport_->write_some(asio::buffer(kContinue.data(), kContinue.size()), {},
                         [self = shared_from_this()](SystemError error, size_t n) {
                           if (self->closed()) return;
                           if (error || n < kContinue.size()) return self->close();
                           self->read();
                         });
}

// Counts what this body takes of the memory that all share: what has come of it, not what was announced.
bool HttpSession::charge_body() {
  const size_t now = request_->body.size(), before = request_->memory.bytes();
  if (now <= before) return true;
  if (host_.make_room(now - before, *this)) {
    request_->memory.set(now);
    return true;
  }
  refuse(503, "the server is receiving as much as it has memory for");
  return false;
}

bool HttpSession::parse_body() {
  std::string& body = request_->body;
  const std::string_view data(buffer_.data() + begin_, end_ - begin_);
  size_t taken = 0;
  if (chunks_) {
    const ChunkedDecoder::Result result = chunks_->take(data, taken, body);
    if (result == ChunkedDecoder::Result::kBad || result == ChunkedDecoder::Result::kTooLarge) {
      const bool bad = result == ChunkedDecoder::Result::kBad;
      refuse(bad ? 400 : 413, bad ? "the body's chunks are not framed as HTTP/1.1 demands" : too_large());
      return false;
    }
    whole_ = result == ChunkedDecoder::Result::kDone;
  } else {
    taken = std::min(data.size(), body_length_ - body.size());
    body.append(data.substr(0, taken));
    whole_ = body.size() == body_length_;
  }
  begin_ += taken;
  // A body earns its time as it comes.
  deadline_ += std::chrono::duration_cast<Clock::duration>(
      std::chrono::duration<double>(static_cast<double>(taken) / kBytesPerSecond));
  if (!charge_body()) return false;
  if (!whole_) read();
  return whole_;
}

void HttpSession::finish_body() {
  client_ = request_->client;
  state_ = State::kHandling;
  // Without a share in the session: it must end on the server's thread, and whoever answers lets go of this on another.
  auto respond = [weak = weak_from_this(), post = host_.post](HttpResponse response) {
    auto shared = std::make_shared<HttpResponse>(std::move(response));
    post([weak, shared] {
      const auto self = weak.lock();
      if (self && self->state_ == State::kHandling) self->send(std::move(*shared));
    });
  };
  host_.handler.handle(std::move(request_), std::move(respond));
}

void HttpSession::refuse(int status, const std::string& reason) {
  HttpResponse response = host_.handler.refusal(status, reason, *request_);
  response.close = true;
  send(std::move(response));
}

// False: the answers that nobody reads take as much memory as they may.
bool HttpSession::charge_answer(size_t bytes) {
  answer_ = MemoryCharge(host_.memory);
  // A short one takes less than its connection, and if there is no other, nobody is harmed.
  if (bytes > kShortAnswer && host_.unread_answers > 0 && !host_.make_room(bytes, *this)) return false;
  answer_.set(bytes);
  return true;
}

void HttpSession::send(HttpResponse response) {
  client_.reset();
  const size_t body_size = head_only_ ? 0 : response.body.size();
  if (!charge_answer(body_size)) {
    HttpRequest known;
    known.remote = remote_;
    response = host_.handler.refusal(503, "too many answers wait for clients that do not read them", known);
    response.close = true;
    return send(std::move(response));
  }
  keep_alive_ = keep_alive_ && !response.close && !host_.draining;
  out_head_.clear();
  fmt::format_to(std::back_inserter(out_head_), "HTTP/1.1 {} {}\r\n", response.status, status_text(response.status));
  append_header(out_head_, "Date", http_date());
  if (!response.content_type.empty()) append_header(out_head_, "Content-Type", response.content_type);
  for (const auto& [name, value] : response.headers) append_header(out_head_, name, value);
  if (response.status != 204) append_header(out_head_, "Content-Length", fmt::to_string(response.body.size()));
  out_head_ += keep_alive_ ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
  out_body_ = std::move(response.body);
  if (head_only_) out_body_ = {};
  written_ = 0;
  state_ = State::kWriting;
  ++host_.unread_answers;
  moved();
  set_deadline(host_.options.write_seconds + static_cast<double>(body_size) / kBytesPerSecond);
  write_more();
}

void HttpSession::write_more() {
  const size_t of_head = std::min(written_, out_head_.size());
  const size_t of_body = written_ - of_head;
  if (of_body == out_body_.size() && of_head == out_head_.size()) return on_written();
  transport_->write_some(asio::const_buffer(out_head_.data() + of_head, out_head_.size() - of_head),
                         asio::const_buffer(out_body_.data() + of_body, out_body_.size() - of_body),
                         [self = shared_from_this()](SystemError error, size_t n) {
                           if (self->closed()) return;
                           if (error) return self->close();
                           self->moved();
                           self->written_ += n;
                           self->write_more();
                         });
}

void HttpSession::release_answer() {
  out_body_ = {};
  answer_ = {};
  if (state_ == State::kWriting) --host_.unread_answers;
}

void HttpSession::on_written() {
  release_answer();
  if (keep_alive_) return begin_request();
  // Closing with unread bytes would reset the connection, and the peer might lose the answer.
  const bool lingers = !whole_ || begin_ < end_ || host_.options.tls_cert.empty();
  transport_->finish(lingers);
  if (!lingers) return close();
  state_ = State::kLingering;
  set_deadline(kLingerSeconds);
  if (!reading_) begin_ = end_ = 0;
  read();
}

void HttpSession::peer_gone() {
  const std::shared_ptr<Cancellation> client = client_;
  close();
  if (client) client->cancel();
}

void HttpSession::check_deadline(Clock::time_point now) {
  if (closed() || state_ == State::kHandling) return;
  if (host_.closing && state_ == State::kIdle) return close();
  const auto stalled = std::chrono::duration<double>(now - moved_at_).count();
  if (state_ == State::kWriting && stalled > host_.options.write_seconds) return close();
  if (now < deadline_) return;
  if (state_ == State::kHead || state_ == State::kBody) {
    const bool sent_before = state_ == State::kBody;
    return refuse(408, sent_before ? "the request's body did not come in time" : "the header did not come in time");
  }
  close();
}

void HttpSession::close() {
  if (closed()) return;
  release_answer();
  state_ = State::kClosed;
  client_.reset();
  transport_->close();
  request_.reset();
  place_.reset();
}

}  // namespace wde::server
