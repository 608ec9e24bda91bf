// ApiKeys: who may use the server. Several keys, so that one can be replaced by the next without a gap.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/net/http.h"

namespace wde::server {

class ApiKeys {
 public:
  void add(std::string key);
  // One key a line; blank lines and those that begin with # are skipped. Throws UsageError.
  void add_file(const std::string& path);

  bool required() const { return !keys_.empty(); }
  // "Authorization: Bearer KEY", "Authorization: KEY", "X-API-Key: KEY", "api-key: KEY".
  bool allow(const HttpRequest& request) const;

 private:
  bool known(std::string_view key) const;

  std::vector<std::string> keys_;
};

}  // namespace wde::server
