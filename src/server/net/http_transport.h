// Transport: the bytes of one connection, plain or through TLS, on TCP or a Unix socket.
// Includes Asio: for http_*.cc alone.
#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

namespace wde::server {

namespace asio = boost::asio;
using SystemError = boost::system::error_code;
using Socket = asio::generic::stream_protocol::socket;

// All operations end on the thread of the socket's io_context. One read and one write at a time.
class Transport {
 public:
  using Done = std::function<void(SystemError, size_t)>;
  virtual ~Transport() = default;
  virtual void handshake(Done done) = 0;
  virtual void read_some(char* data, size_t size, Done done) = 0;
  // Some bytes of them, in this order.
  virtual void write_some(asio::const_buffer head, asio::const_buffer body, Done done) = 0;
  // Tells the peer that nothing more will come. `lingers`: what it still sends will be read for a while.
  virtual void finish(bool lingers) = 0;
  virtual int descriptor() = 0;
  virtual void close() = 0;
};

std::shared_ptr<Transport> make_plain_transport(Socket socket);

// Certificate and key of a server. Its transports keep it alive.
class TlsContext {
 public:
  // Throws UsageError.
  static std::shared_ptr<TlsContext> create(const std::string& cert_file, const std::string& key_file);
  virtual ~TlsContext() = default;
  virtual std::shared_ptr<Transport> make_transport(Socket socket) = 0;
};

}  // namespace wde::server
