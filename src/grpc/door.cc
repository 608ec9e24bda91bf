// wde_grpc.so: gRPC's messages as requests of the App. What they mean is the dialect's matter; here they are bytes.
#include <fmt/format.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/resource_quota.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <set>

#include "grpc/call.h"
#include "grpc/credentials.h"
#include "server/serving/app.h"
#include "server/serving/side_door.h"
#include "wde/server_abi.h"

namespace wde::grpc_door {
namespace {

// Of one connection; and how long one that asks for nothing may stay, as over HTTP.
constexpr int kMaxStreams = 256;
constexpr int kIdleMilliseconds = 75'000;
constexpr int kMaxHeaderBytes = 16 << 10;

class Service final : public grpc::CallbackGenericService {
 public:
  explicit Service(Calls& calls) : calls_(calls) {}
  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* context) override {
    return calls_.start(*context);
  }

 private:
  Calls& calls_;
};

class Door final : public server::SideDoor {
 public:
  Door(const server::SideDoorOptions& options, server::App& app)
      : calls_(app, options.max_calls, options.max_message_bytes, options.idle_seconds), service_(calls_) {
    const std::string host = options.host.find(':') == std::string::npos ? options.host : "[" + options.host + "]";
    grpc::ServerBuilder builder;
    if (!options.tls_cert.empty()) tls_ = std::make_shared<TlsCredentials>(options.tls_cert, options.tls_key);
    const std::shared_ptr<grpc::ServerCredentials> credentials = tls_ ? tls_ : grpc::InsecureServerCredentials();
    builder.AddListeningPort(fmt::format("{}:{}", host, options.port), credentials, &port_);
    builder.RegisterCallbackGenericService(&service_);
    builder.SetMaxReceiveMessageSize(static_cast<int>(std::min<size_t>(options.max_message_bytes, INT32_MAX)));
    builder.SetMaxSendMessageSize(-1);
    builder.SetResourceQuota(grpc::ResourceQuota("wde").Resize(options.max_buffered_bytes));
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);  // or a second server would take half of the first's
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreams);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, kIdleMilliseconds);
    builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxHeaderBytes);
    server_ = builder.BuildAndStart();
    if (!server_ || port_ == 0) {
      throw UsageError(
          fmt::format("--grpc-port {}: cannot listen there on {}; another program may", options.port, host));
    }
    address_ = fmt::format("{}:{}", host, port_);
  }
  ~Door() override { stop(0); }

  std::string address() const override { return address_; }

  void reload_tls() override {
    if (tls_) tls_->reload();
  }

  bool stop(double seconds) override {
    if (!server_) return true;
    calls_.drain();
    const auto deadline = std::chrono::system_clock::now() + std::chrono::duration<double>(seconds);
    const bool all = calls_.wait(std::chrono::duration<double>(seconds));
    server_->Shutdown(std::chrono::time_point_cast<std::chrono::system_clock::duration>(deadline));
    server_->Wait();
    server_.reset();
    return all;
  }

 private:
  Calls calls_;
  Service service_;
  std::shared_ptr<TlsCredentials> tls_;  // nullptr: without TLS
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
  std::string address_;
};

}  // namespace
}  // namespace wde::grpc_door

extern "C" __attribute__((visibility("default"))) const char* wde_grpc_abi() { return WDE_SERVER_HEADERS_DIGEST; }

// Throws UsageError.
extern "C" __attribute__((visibility("default"))) wde::server::SideDoor* wde_grpc_open(
    const wde::server::SideDoorOptions* options, wde::server::App* app) {
  return new wde::grpc_door::Door(*options, *app);
}
