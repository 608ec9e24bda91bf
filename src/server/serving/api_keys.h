// ApiKeys: who may use the server. Several keys, so that one can be replaced by the next without a gap, and so that the
// clients that have them share it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/serving/key_file.h"

namespace wde::server {

class ApiKeys {
 public:
  // `where` it comes from (--api-key, WDE_API_KEY), for the message. Throws UsageError: no client could send this key.
  void add(std::string_view key, std::string_view where);
  // Throws UsageError: as read_key_file().
  void add_file(const std::string& path, std::string_view where);
  // Reads the files again. Throws UsageError: then the keys stay as they are.
  void reload();

  bool required() const { return !fixed_.empty() || !files_.empty(); }
  // The key of "Authorization: Bearer KEY", "Authorization: KEY", "X-API-Key: KEY", "api-key: KEY"; of several the
  // first that is known. nullptr: none is. Valid until reload().
  const ApiKey* find(const HttpRequest& request) const;
  bool allow(const HttpRequest& request) const { return !required() || find(request) != nullptr; }
  // Some have another weight than 1.
  bool weigh() const;

 private:
  struct File {
    std::string path, where;
    std::vector<ApiKey> keys;
  };

  const ApiKey* find(std::string_view key) const;

  std::vector<ApiKey> fixed_;
  std::vector<File> files_;
};

}  // namespace wde::server
