// A file of keys: one a line, and after it what its requests may have.
//
//   KEY [weight=NUMBER] [priority=NUMBER]
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/net/http.h"

namespace wde::server {

struct ApiKey {
  std::string key;
  Caller caller;
};

// `where` it comes from, for the message. Throws UsageError: no client could send this key.
ApiKey make_key(std::string_view key, std::string_view where);
// Blank lines and those that begin with # are skipped. Throws UsageError: it cannot be read, a line is wrong, or there
// is no key in it.
std::vector<ApiKey> read_key_file(const std::string& path, std::string_view where);

}  // namespace wde::server
