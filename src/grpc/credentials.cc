#include "grpc/credentials.h"

#include <grpc/grpc.h>

#include <utility>

#include "server/net/flag_file.h"

namespace wde::grpc_door {

void TlsCredentials::Destroy::operator()(grpc_server_credentials* made) const { grpc_server_credentials_release(made); }

TlsCredentials::TlsCredentials(std::string cert_file, std::string key_file)
    : cert_file_(std::move(cert_file)), key_file_(std::move(key_file)) {
  reload();
  made_.reset(
      grpc_ssl_server_credentials_create_with_options(grpc_ssl_server_credentials_create_options_using_config_fetcher(
          GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE, fetch, this)));
}

void TlsCredentials::reload() {
  const std::string key = server::read_flag_file("--tls-key", key_file_, server::kMaxPemBytes);
  const std::string cert = server::read_flag_file("--tls-cert", cert_file_, server::kMaxPemBytes);
  const grpc_ssl_pem_key_cert_pair pair = {key.c_str(), cert.c_str()};
  // gRPC 1.51 demands certificates to judge clients by, though clients are asked for none.
  std::unique_ptr<Config, Destroy> fresh(grpc_ssl_server_certificate_config_create(cert.c_str(), &pair, 1));
  std::scoped_lock lock(mutex_);
  next_ = std::move(fresh);
}

grpc_ssl_certificate_config_reload_status TlsCredentials::fetch(void* self, Config** config) {
  auto& own = *static_cast<TlsCredentials*>(self);
  std::scoped_lock lock(own.mutex_);
  if (!own.next_) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
  *config = own.next_.release();
  return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
}

int TlsCredentials::AddPortToServer(const std::string& address, grpc_server* server) {
  return grpc_server_add_http2_port(server, address.c_str(), made_.get());
}

}  // namespace wde::grpc_door
