// ApiKeys: who may use the server. Several keys, so that one can be replaced by the next without a gap.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/net/http.h"

namespace wde::server {

class ApiKeys {
 public:
  // `where` it comes from (--api-key, WDE_API_KEY), for the message. Throws UsageError: no client could send this key.
  void add(std::string_view key, std::string_view where);
  // One key a line; blank lines and those that begin with # are skipped. Throws UsageError: there must be one at least.
  void add_file(const std::string& path, std::string_view where);
  // Reads the files again. Throws UsageError: then the keys stay as they are.
  void reload();

  bool required() const { return !fixed_.empty() || !files_.empty(); }
  // "Authorization: Bearer KEY", "Authorization: KEY", "X-API-Key: KEY", "api-key: KEY".
  bool allow(const HttpRequest& request) const { return !required() || has_key(request); }
  bool has_key(const HttpRequest& request) const;

 private:
  struct File {
    std::string path, where;
    std::vector<std::string> keys;
  };

  static std::vector<std::string> read_file(const std::string& path, std::string_view where);
  bool known(std::string_view key) const;

  std::vector<std::string> fixed_;
  std::vector<File> files_;
};

}  // namespace wde::server
