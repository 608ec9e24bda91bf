// ServeFlags: what the command line and the environment say to `wde serve`, checked, as options of the server. Whatever
// would make a server that answers nobody, or everybody, is refused.
#pragma once

#include <string>
#include <vector>

#include "cli/engine_flags.h"
#include "server/server.h"

namespace CLI {
class App;
}

namespace wde::cli {

class ServeFlags {
 public:
  void add_to(CLI::App& app);
  // All but `log`, and what the server tells. Throws UsageError.
  server::ServerOptions options();
  server::LogFormat log_format() const;
  // Whether a model was named, by flag or variable; if not, the default one is served. After options().
  bool names_model() const { return named_; }

 private:
  std::vector<server::ServedModel> served_models();
  void read_keys();
  void take_grpc();
  void check() const;

  CLI::App* app_ = nullptr;
  EngineFlags engine_flags_;
  server::ServerOptions options_;
  std::vector<std::string> models_, names_;
  bool named_ = true;
  std::string api_key_, api_key_file_, admin_key_, admin_key_file_;
  std::string access_log_ = "text", token_input_ = "refuse", auto_truncate_ = "true";
  std::string otlp_endpoint_, otlp_service_;
  int grpc_port_ = -1;  // none
};

}  // namespace wde::cli
