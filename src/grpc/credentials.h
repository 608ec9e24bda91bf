// TlsCredentials: the door's certificate and key, which may be read again while it is open.
#pragma once

#include <grpc/grpc_security.h>
#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <mutex>
#include <string>

namespace wde::grpc_door {

class TlsCredentials final : public grpc::ServerCredentials {
 public:
  // Throws UsageError: a file cannot be read.
  TlsCredentials(std::string cert_file, std::string key_file);

  // For the handshakes from now on; a pair that does not fit together changes nothing. Throws UsageError.
  void reload();

  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>&) override {}  // there is none

 private:
  using Config = grpc_ssl_server_certificate_config;
  struct Destroy {
    void operator()(Config* config) const { grpc_ssl_server_certificate_config_destroy(config); }
    void operator()(grpc_server_credentials* made) const;
  };

  // gRPC asks at each handshake.
  static grpc_ssl_certificate_config_reload_status fetch(void* self, Config** config);
  int AddPortToServer(const std::string& address, grpc_server* server) override;

  const std::string cert_file_, key_file_;
  std::mutex mutex_;
  std::unique_ptr<Config, Destroy> next_;  // what no handshake has taken yet
  std::unique_ptr<grpc_server_credentials, Destroy> made_;
};

}  // namespace wde::grpc_door
