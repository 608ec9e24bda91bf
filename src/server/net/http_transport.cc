#include "server/net/http_transport.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/ssl.hpp>
#include <utility>

#include "server/net/flag_file.h"
#include "wde/result.h"

namespace wde::server {
namespace {

class PlainTransport final : public Transport {
 public:
  explicit PlainTransport(Socket socket) : socket_(std::move(socket)) {}
  void handshake(Done done) override { done({}, 0); }
  void read_some(char* data, size_t size, Done done) override {
    socket_.async_read_some(asio::buffer(data, size), std::move(done));
  }
  void write_some(asio::const_buffer head, asio::const_buffer body, Done done) override {
    socket_.async_write_some(std::array{head, body}, std::move(done));
  }
  void finish(bool) override { ::shutdown(descriptor(), SHUT_WR); }
  int descriptor() override { return socket_.native_handle(); }
  void close() override {
    SystemError ignored;
    socket_.close(ignored);
  }

 private:
  Socket socket_;
};

class TlsTransport final : public Transport, public std::enable_shared_from_this<TlsTransport> {
 public:
  TlsTransport(Socket socket, std::shared_ptr<TlsContext> owner, asio::ssl::context& context)
      : owner_(std::move(owner)), stream_(std::move(socket), context) {}
  void handshake(Done done) override {
    stream_.async_handshake(asio::ssl::stream_base::server,
                            [done = std::move(done)](SystemError error) { done(error, 0); });
  }
  void read_some(char* data, size_t size, Done done) override {
    stream_.async_read_some(asio::buffer(data, size), std::move(done));
  }
  void write_some(asio::const_buffer head, asio::const_buffer body, Done done) override {
    stream_.async_write_some(std::array{head, body}, std::move(done));
  }
  void finish(bool lingers) override {
    // The goodbye of TLS, which would disturb reading; the peer's own is not waited for.
    if (!lingers) stream_.async_shutdown([self = shared_from_this()](SystemError) {});
    ::shutdown(descriptor(), SHUT_WR);
  }
  int descriptor() override { return stream_.lowest_layer().native_handle(); }
  void close() override {
    SystemError ignored;
    stream_.lowest_layer().close(ignored);
  }

 private:
  std::shared_ptr<TlsContext> owner_;
  asio::ssl::stream<Socket> stream_;
};

class TlsContextImpl final : public TlsContext, public std::enable_shared_from_this<TlsContextImpl> {
 public:
  TlsContextImpl(const std::string& cert_file, const std::string& key_file) : context_(asio::ssl::context::tls_server) {
    context_.set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_sslv2 |
                         asio::ssl::context::no_sslv3 | asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1);
    SystemError error;
    // OpenSSL would ask the terminal for it.
    context_.set_password_callback([](size_t, asio::ssl::context::password_purpose) { return std::string(); }, error);
    // Read here: OpenSSL would wait for a pipe.
    context_.use_certificate_chain(asio::buffer(read_flag_file("--tls-cert", cert_file, kMaxPemBytes)), error);
    if (error) throw UsageError(fmt::format("--tls-cert {}: {}", cert_file, reason(error)));
    context_.use_private_key(asio::buffer(read_flag_file("--tls-key", key_file, kMaxPemBytes)), asio::ssl::context::pem,
                             error);
    if (error) throw UsageError(fmt::format("--tls-key {}: {}", key_file, reason(error)));
    if (::SSL_CTX_check_private_key(context_.native_handle()) != 1) {
      throw UsageError(fmt::format("--tls-key {} is not the key of --tls-cert {}", key_file, cert_file));
    }
  }
  std::shared_ptr<Transport> make_transport(Socket socket) override {
    return std::make_shared<TlsTransport>(std::move(socket), shared_from_this(), context_);
  }

 private:
  static std::string reason(const SystemError& error) {
    return error.message() + " (expected a PEM file; a key without a passphrase)";
  }

  asio::ssl::context context_;
};

}  // namespace

std::shared_ptr<Transport> make_plain_transport(Socket socket) {
  return std::make_shared<PlainTransport>(std::move(socket));
}

std::shared_ptr<TlsContext> TlsContext::create(const std::string& cert_file, const std::string& key_file) {
  return std::make_shared<TlsContextImpl>(cert_file, key_file);
}

}  // namespace wde::server
