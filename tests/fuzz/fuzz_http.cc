// Bytes of a connection to requests: the first byte says in how large pieces they come, the rest is what a client
// sends. What reaches the handler is framed beyond doubt and within the limits, and every request has one response.
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <deque>
#include <memory>
#include <string>

#include "server/net/http_session.h"

namespace {

using namespace wde::server;

std::deque<std::function<void()>> actions;

class FakeTransport final : public Transport {
 public:
  FakeTransport(std::string_view content, size_t step) : content_(content), step_(step) {}
  void handshake(Done done) override {
    actions.emplace_back([done = std::move(done)] { done({}, 0); });
  }
  void read_some(char* data, size_t size, Done done) override {
    if (reading_) std::abort();
    reading_ = true;
    actions.emplace_back([this, data, size, done = std::move(done)] {
      reading_ = false;
      const size_t n = closed_ ? 0 : std::min({size, step_, content_.size()});
      content_.copy(data, n);
      content_.remove_prefix(n);
      done(n == 0 ? boost::asio::error::make_error_code(boost::asio::error::misc_errors::eof) : SystemError(), n);
    });
  }
  void write_some(boost::asio::const_buffer head, boost::asio::const_buffer body, Done done) override {
    if (writing_) std::abort();
    writing_ = true;
    const std::string_view text(static_cast<const char*>(head.data()), head.size());
    if (between_ && (!text.starts_with("HTTP/1.1 ") || !text.ends_with("\r\n\r\n"))) std::abort();
    const size_t all = head.size() + body.size(), size = std::min(all, 100 * step_);
    between_ = size == all;
    actions.emplace_back([this, size, done = std::move(done)] {
      writing_ = false;
      done({}, size);
    });
  }
  void finish(bool) override {}
  int descriptor() override { return -1; }
  void close() override { closed_ = true; }

 private:
  std::string_view content_;
  size_t step_;
  bool reading_ = false, writing_ = false, closed_ = false;
  bool between_ = true;  // two answers
};

class FakeHandler final : public HttpHandler {
 public:
  explicit FakeHandler(const HttpOptions& options) : options_(options) {}
  std::optional<HttpResponse> refuse(HttpRequest& head) override {
    if (head.path != "/refused") return std::nullopt;
    HttpResponse response;
    response.status = 404;
    return response;
  }
  void handle(std::shared_ptr<HttpRequest> request, Respond respond) override {
    // Both versions' rules but for those that differ: a Host that is missing, an encoding in HTTP/1.0.
    if (!framing_problem(10, request->headers).empty() && !framing_problem(11, request->headers).empty()) std::abort();
    if (request->body.size() > options_.max_body_bytes || request->method.empty() || request->path.empty())
      std::abort();
    const std::string_view length = request->header("content-length");
    if (!length.empty() && std::to_string(request->body.size()) != length &&
        request->body.size() != std::stoull(std::string(length))) {
      std::abort();
    }
    HttpResponse response;
    response.headers.emplace_back("x-echo", request->path);
    response.body = std::move(request->body);
    respond(std::move(response));
  }
  bool is_probe(const HttpRequest& head) override { return head.path == "/health"; }
  HttpResponse refusal(int status, const std::string& reason, const HttpRequest&) override {
    HttpResponse response;
    response.status = status;
    response.body = reason;
    return response;
  }
  void drain() override {}

 private:
  const HttpOptions& options_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  static const size_t kSteps[] = {1, 2, 3, 7, 64, 1000, 1 << 20, 1 << 20};
  HttpOptions options;
  options.max_header_bytes = 512;
  options.max_body_bytes = 2048;
  FakeHandler handler(options);
  SessionHost host{.options = options,
                   .handler = handler,
                   .post = [](std::function<void()> action) { actions.push_back(std::move(action)); },
                   .make_room = [](size_t, const HttpSession&) { return true; },
                   .memory = std::make_shared<MemoryBudget>(options.max_buffered_bytes)};
  {
    const std::string_view content(reinterpret_cast<const char*>(data) + 1, size - 1);
    auto session = std::make_shared<HttpSession>(host, std::make_shared<FakeTransport>(content, kSteps[data[0] % 8]),
                                                 "fuzz", std::make_shared<const std::string>("fuzz"), size % 5 == 0);
    session->start();
    while (!actions.empty()) {
      const auto action = std::move(actions.front());
      actions.pop_front();
      action();
    }
    if (!session->closed() || session->busy()) std::abort();
  }
  if (host.memory->used() != 0 || host.unread_answers != 0) std::abort();
  return 0;
}
