// SideDoor: another way into the App than HTTP, which a shared object brings: gRPC, with libraries that the program
// itself does without. It is opened when somebody asks for it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace wde::server {

class App;

struct SideDoorOptions {
  std::string host;
  uint16_t port = 0;  // 0: any free one
  std::string tls_cert, tls_key;
  size_t max_message_bytes = 0;
  size_t max_buffered_bytes = 0;  // of all messages that are being received
  size_t max_calls = 0;           // at a time
  double idle_seconds = 0;        // that a call may wait for its client's next message
};

class SideDoor {
 public:
  virtual ~SideDoor() = default;  // as stop(0)
  virtual std::string address() const = 0;
  // As HttpServer::reload_tls(), which has read the same files before.
  virtual void reload_tls() = 0;
  // Takes nothing more, and waits for the answers to what was taken. False: some were not given in time.
  virtual bool stop(double seconds) = 0;
};

// Listens already. Throws UsageError: there is no wde_grpc.so, it is another build's, or the port is taken.
std::unique_ptr<SideDoor> open_grpc(const SideDoorOptions& options, App& app);

}  // namespace wde::server
