#include "server/net/http_server.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <utility>

#include "server/net/connections.h"
#include "wde/result.h"

namespace wde::server {
namespace {

using asio::ip::tcp;
using asio::local::stream_protocol;

// How often deadlines are looked at, and whether clients are still there.
constexpr auto kSweep = std::chrono::milliseconds(100);
// A server that drains ends when for so long nothing has come, and when for so long nothing was worked on: those who do
// not hear that it is leaving would keep it for ever.
constexpr auto kSilence = std::chrono::milliseconds(150);
constexpr auto kFarewell = std::chrono::seconds(2);
// Files and sockets of everything but connections.
constexpr rlim_t kOtherFiles = 128;

Clock::duration duration_of(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

// As many connections as there may be open files.
size_t raise_file_limit(size_t connections) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return connections;
  limit.rlim_cur = limit.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
  const rlim_t fit = limit.rlim_cur > 2 * kOtherFiles ? limit.rlim_cur - kOtherFiles : limit.rlim_cur / 2;
  return std::max<size_t>(1, std::min<rlim_t>(connections, fit));
}

// Who is counted as one: with IPv6, everybody has 2^64 addresses.
std::string network_of(const asio::ip::address& address) {
  if (!address.is_v6()) return address.to_string();
  auto bytes = address.to_v6().to_bytes();
  const bool embeds_v4 = address.to_v6().is_v4_mapped();
  if (!embeds_v4) std::fill(bytes.begin() + 8, bytes.end(), 0);
  return asio::ip::address_v6(bytes).to_string();
}

class HttpServerImpl final : public HttpServer {
 public:
  HttpServerImpl(HttpOptions options, HttpHandler& handler)
      : options_(std::move(options)),
        host_{.options = options_,
              .handler = handler,
              .post = [this](std::function<void()> action) { post(std::move(action)); },
              .make_room =
                  [this](size_t bytes, const HttpSession& asking) {
                    return connections_.make_room(*host_.memory, bytes, asking);
                  },
              .memory = std::make_shared<MemoryBudget>(options_.max_buffered_bytes)},
        io_(1),
        tcp_acceptor_(io_),
        local_acceptor_(io_),
        sweep_timer_(io_),
        retry_timer_(io_),
        connections_(options_) {
    options_.max_connections = raise_file_limit(options_.max_connections);
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

  bool on_loopback() const override { return on_loopback_; }

  bool run() override {
    await_sweep();
    accept();
    io_.run();
    const bool all_answered = !connections_.any([](const HttpSession& session) { return session.busy(); });
    connections_.close_all();
    return all_answered;
  }

  void drain() override {
    post([this] { begin_drain(); });
  }
  void stop() override {
    post([this] { io_.stop(); });
  }
  void reload_tls() override {
    if (options_.tls_cert.empty()) return;
    auto fresh = TlsContext::create(options_.tls_cert, options_.tls_key);
    post([this, fresh] { tls_ = fresh; });
  }
  void post(std::function<void()> action) override { asio::post(io_, std::move(action)); }

  HttpCounts counts() const override { return {open_.load(), busy_.load(), host_.memory->used(), given_up_.load()}; }

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
    on_loopback_ = bound.address().is_loopback();
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
        if (!error && !host_.closing) welcome(std::move(socket));
        await_next(error);
      });
    } else {
      local_acceptor_.async_accept([this](SystemError error, stream_protocol::socket socket) {
        if (!error && !host_.closing) start(Socket(std::move(socket)), "unix", "unix");
        await_next(error);
      });
    }
  }

  // After what came with the last connection has its handler in the queue: the next one may have connections given up
  // that seem idle, and bytes that are read already do not show in them.
  void await_next(SystemError error) {
    if (error == asio::error::operation_aborted || host_.closing) return;
    const bool no_descriptors =
        error == asio::error::no_descriptors || error == boost::system::errc::too_many_files_open_in_system;
    if (!no_descriptors || connections_.give_up()) {
      accept();
    } else {
      // Another try at once would spin.
      retry_timer_.expires_after(kSweep);
      retry_timer_.async_wait([this](SystemError stopped) {
        if (!stopped) accept();
      });
    }
  }

  void welcome(tcp::socket socket) {
    SystemError ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    const auto peer = socket.remote_endpoint(ignored);
    if (ignored) return;  // it has gone already
    start(Socket(std::move(socket)), peer.address().to_string(), network_of(peer.address()));
  }

  void start(Socket socket, std::string remote, const std::string& network) {
    const Connections::Welcome welcome = connections_.welcome(network);
    if (welcome == Connections::Welcome::kNone) return;
    auto transport = tls_ ? tls_->make_transport(std::move(socket)) : make_plain_transport(std::move(socket));
    auto session =
        std::make_shared<HttpSession>(host_, std::move(transport), std::move(remote), connections_.place_of(network),
                                      welcome == Connections::Welcome::kForProbes);
    connections_.add(session);
    session->start();
  }

  void begin_drain() {
    if (host_.draining) return;
    host_.draining = true;
    worked_at_ = Clock::now();
    drain_end_ = worked_at_ + duration_of(options_.drain_seconds);
    host_.handler.drain();
  }

  void await_sweep() {
    sweep_timer_.expires_after(kSweep);
    sweep_timer_.async_wait([this](SystemError error) {
      if (error) return;
      const Clock::time_point now = Clock::now();
      connections_.sweep(now);
      open_.store(connections_.open(), std::memory_order_relaxed);
      busy_.store(connections_.busy(), std::memory_order_relaxed);
      given_up_.store(connections_.given_up(), std::memory_order_relaxed);
      if (host_.draining && has_drained(now)) return io_.stop();
      await_sweep();
    });
  }

  // Who sends a request while the server leaves is told so. So it takes requests until nobody sends any, or until it
  // has had nothing else to do for a while; then it stops listening, and answers those who are connected already.
  bool has_drained(Clock::time_point now) {
    if (now >= drain_end_) return true;
    if (connections_.any([](const HttpSession& s) { return s.handling() || s.writing(); })) worked_at_ = now;
    const bool quiet = !connections_.any([](const HttpSession& s) { return !s.quiet(); });
    if (host_.closing) return quiet || now - worked_at_ >= 2 * kFarewell;
    if (!(quiet && now - host_.last_arrival >= kSilence) && now - worked_at_ < kFarewell) return false;
    stop_listening();
    return false;
  }

  void stop_listening() {
    SystemError error;
    // Those whose connection is made already, and who may have sent a request.
    while (options_.unix_socket.empty()) {
      tcp_acceptor_.non_blocking(true, error);
      tcp::socket socket(io_);
      tcp_acceptor_.accept(socket, error);
      if (error) break;
      welcome(std::move(socket));
    }
    while (!options_.unix_socket.empty()) {
      local_acceptor_.non_blocking(true, error);
      stream_protocol::socket socket(io_);
      local_acceptor_.accept(socket, error);
      if (error) break;
      start(Socket(std::move(socket)), "unix", "unix");
    }
    tcp_acceptor_.close(error);
    local_acceptor_.close(error);
    host_.closing = true;
  }

  HttpOptions options_;
  SessionHost host_;
  asio::io_context io_;
  tcp::acceptor tcp_acceptor_;
  stream_protocol::acceptor local_acceptor_;
  asio::steady_timer sweep_timer_;
  asio::steady_timer retry_timer_;
  std::shared_ptr<TlsContext> tls_;
  std::string address_;
  bool on_loopback_ = false;
  Connections connections_;
  Clock::time_point drain_end_;
  Clock::time_point worked_at_;  // while draining: when a request was last worked on
  std::atomic<size_t> open_{0}, busy_{0}, given_up_{0};
};

}  // namespace

std::unique_ptr<HttpServer> HttpServer::create(HttpOptions options, HttpHandler& handler) {
  return std::make_unique<HttpServerImpl>(std::move(options), handler);
}

}  // namespace wde::server
