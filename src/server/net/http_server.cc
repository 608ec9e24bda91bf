#include "server/net/http_server.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <utility>
#include <vector>

#include "server/net/http_session.h"
#include "wde/result.h"

namespace wde::server {
namespace {

using asio::ip::tcp;
using asio::local::stream_protocol;

// How often deadlines are looked at, and whether clients are still there.
constexpr auto kSweep = std::chrono::milliseconds(100);
// Connections beyond the limit that are still told so; more are closed without a word.
constexpr size_t kExcess = 256;

void raise_file_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    (void)::setrlimit(RLIMIT_NOFILE, &limit);
  }
}

class HttpServerImpl final : public HttpServer {
 public:
  HttpServerImpl(HttpOptions options, HttpHandler& handler)
      : options_(std::move(options)),
        host_{options_, handler, [this](std::function<void()> action) { asio::post(io_, std::move(action)); }},
        io_(1),
        tcp_acceptor_(io_),
        local_acceptor_(io_),
        signals_(io_, SIGINT, SIGTERM),
        sweep_timer_(io_),
        retry_timer_(io_) {
    raise_file_limit();
    if (!options_.tls_cert.empty() || !options_.tls_key.empty()) {
      if (options_.tls_cert.empty() || options_.tls_key.empty()) {
        throw UsageError("TLS needs both --tls-cert and --tls-key.");
      }
      tls_ = TlsContext::create(options_.tls_cert, options_.tls_key);
    }
    if (options_.unix_socket.empty()) {
      listen_tcp();
    } else {
      listen_local();
    }
  }

  ~HttpServerImpl() override {
    if (!options_.unix_socket.empty()) ::unlink(options_.unix_socket.c_str());
  }

  std::string address() const override { return address_; }

  bool run() override {
    await_signal();
    await_sweep();
    accept();
    io_.run();
    bool all_answered = true;
    for (const auto& session : sessions_) {
      if (session->busy()) all_answered = false;
      session->peer_gone();
    }
    sessions_.clear();
    return all_answered;
  }

  void drain() override {
    asio::post(io_, [this] { begin_drain(); });
  }

  HttpCounts counts() const override { return {connections_.load(), busy_.load()}; }

 private:
  void listen_tcp() {
    SystemError error;
    tcp::resolver resolver(io_);
    const auto found = resolver.resolve(options_.host, std::to_string(options_.port),
                                        tcp::resolver::passive | tcp::resolver::numeric_service, error);
    if (error || found.empty()) throw UsageError(fmt::format("--host {}: {}", options_.host, error.message()));
    const tcp::endpoint endpoint = found.begin()->endpoint();
    tcp_acceptor_.open(endpoint.protocol(), error);
    if (!error) tcp_acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) tcp_acceptor_.bind(endpoint, error);
    if (!error) tcp_acceptor_.listen(4096, error);
    if (error) {
      throw UsageError(fmt::format("cannot listen on {}:{}: {}. Another --port may be free.", options_.host,
                                   options_.port, error.message()));
    }
    const tcp::endpoint bound = tcp_acceptor_.local_endpoint();
    std::string host = bound.address().to_string();
    if (bound.address().is_v6()) host = "[" + host + "]";
    address_ = fmt::format("{}://{}:{}", tls_ ? "https" : "http", host, bound.port());
  }

  void listen_local() {
    const std::string& path = options_.unix_socket;
    if (path.size() >= sizeof(sockaddr_un::sun_path)) {
      throw UsageError(fmt::format("--unix-socket {}: the path is too long for a socket", path));
    }
    SystemError error;
    struct stat status {};
    if (::lstat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode)) {
      // Left behind by a server that did not end well, or in use?
      stream_protocol::socket probe(io_);
      probe.connect(stream_protocol::endpoint(path), error);
      if (error) ::unlink(path.c_str());
    }
    local_acceptor_.open(stream_protocol(), error);
    if (!error) local_acceptor_.bind(stream_protocol::endpoint(path), error);
    if (!error) local_acceptor_.listen(4096, error);
    if (error) {
      const std::string reason = error.message();
      options_.unix_socket.clear();
      throw UsageError(fmt::format("--unix-socket: cannot listen there: {}", reason));
    }
    address_ = "unix:" + path;
  }

  void accept() {
    if (options_.unix_socket.empty()) {
      tcp_acceptor_.async_accept([this](SystemError error, tcp::socket socket) {
        std::string remote;
        if (!error) {
          SystemError ignored;
          socket.set_option(tcp::no_delay(true), ignored);
          const auto peer = socket.remote_endpoint(ignored);
          if (!ignored) remote = peer.address().to_string();
        }
        on_accept(error, Socket(std::move(socket)), std::move(remote));
      });
    } else {
      local_acceptor_.async_accept([this](SystemError error, stream_protocol::socket socket) {
        on_accept(error, Socket(std::move(socket)), "unix");
      });
    }
  }

  void on_accept(SystemError error, Socket socket, std::string remote) {
    if (error == asio::error::operation_aborted) return;
    if (error == asio::error::no_descriptors || error == boost::system::errc::too_many_files_open_in_system) {
      // Another try at once would spin.
      retry_timer_.expires_after(kSweep);
      retry_timer_.async_wait([this](SystemError stopped) {
        if (!stopped) accept();
      });
      return;
    }
    if (!error && sessions_.size() < options_.max_connections + kExcess) {
      const bool excess = sessions_.size() >= options_.max_connections;
      auto transport = tls_ ? tls_->make_transport(std::move(socket)) : make_plain_transport(std::move(socket));
      auto session = std::make_shared<HttpSession>(host_, std::move(transport), std::move(remote), excess);
      sessions_.push_back(session);
      connections_.store(sessions_.size(), std::memory_order_relaxed);
      session->start();
    }
    accept();
  }

  void await_signal() {
    signals_.async_wait([this](SystemError error, int) {
      if (error) return;
      if (host_.draining) return io_.stop();
      begin_drain();
      await_signal();
    });
  }

  void begin_drain() {
    if (host_.draining) return;
    host_.draining = true;
    drain_end_ = Clock::now() +
                 std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options_.drain_seconds));
    host_.handler.drain();
  }

  void await_sweep() {
    sweep_timer_.expires_after(kSweep);
    sweep_timer_.async_wait([this](SystemError error) {
      if (error) return;
      sweep();
      await_sweep();
    });
  }

  void sweep() {
    const Clock::time_point now = Clock::now();
    watched_.clear();
    size_t busy = 0;
    for (size_t i = 0; i < sessions_.size();) {
      sessions_[i]->check_deadline(now);
      if (sessions_[i]->closed()) {
        sessions_[i] = std::move(sessions_.back());
        sessions_.pop_back();
        continue;
      }
      busy += sessions_[i]->busy() ? 1 : 0;
      ++i;
    }
    polled_.clear();
    for (const auto& session : sessions_) {
      if (!session->handling()) continue;
      watched_.push_back(session);
      polled_.push_back({session->descriptor(), POLLRDHUP, 0});
    }
    if (!polled_.empty() && ::poll(polled_.data(), polled_.size(), 0) > 0) {
      for (size_t i = 0; i < polled_.size(); ++i) {
        if (polled_[i].revents != 0) watched_[i]->peer_gone();
      }
    }
    watched_.clear();
    connections_.store(sessions_.size(), std::memory_order_relaxed);
    busy_.store(busy, std::memory_order_relaxed);
    if (host_.draining && (busy == 0 || now >= drain_end_)) io_.stop();
  }

  HttpOptions options_;
  SessionHost host_;
  asio::io_context io_;
  tcp::acceptor tcp_acceptor_;
  stream_protocol::acceptor local_acceptor_;
  asio::signal_set signals_;
  asio::steady_timer sweep_timer_;
  asio::steady_timer retry_timer_;
  std::unique_ptr<TlsContext> tls_;
  std::string address_;
  std::vector<std::shared_ptr<HttpSession>> sessions_;
  std::vector<std::shared_ptr<HttpSession>> watched_;  // of one sweep
  std::vector<pollfd> polled_;
  Clock::time_point drain_end_;
  std::atomic<size_t> connections_{0}, busy_{0};
};

}  // namespace

std::unique_ptr<HttpServer> HttpServer::create(HttpOptions options, HttpHandler& handler) {
  return std::make_unique<HttpServerImpl>(std::move(options), handler);
}

}  // namespace wde::server
