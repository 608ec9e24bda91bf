// Doors: who is let in to the routes, as far as the header of a request tells: by its host, the page that it comes
// from, its key, and the kind of its body.
#pragma once

#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/dialects/api_error.h"
#include "server/dialects/routes.h"
#include "server/serving/api_keys.h"

namespace wde::server {

struct DoorOptions {
  ApiKeys keys;
  ApiKeys admin_keys;                      // for what changes the server; they open all else, too
  std::vector<std::string> cors_origins;   // whose pages may ask; "*": any
  std::vector<std::string> allowed_hosts;  // names that clients may call the server by; "*": any
};

// "https://a.example", "app://obsidian.md:8080", "null", "*". Throws UsageError.
void check_origin(const std::string& origin);
// "a.example", "*"; a name or an address, without scheme and port. Throws UsageError.
void check_host_name(const std::string& host);

// Thread-safe once the server runs.
class Doors {
 public:
  explicit Doors(DoorOptions options) : options_(std::move(options)) {}

  // What the server listens on: with "localhost" a page of any name can be made to mean this machine (DNS rebinding),
  // and only there may models be loaded and unloaded without a key for it.
  enum class Reach { kUnixSocket, kLoopback, kNetwork };
  void set_reach(Reach reach, std::string own_name) {
    reach_ = reach;
    own_name_ = std::move(own_name);
  }
  // Reads the files of keys again. Throws UsageError: all keys stay as they are.
  void reload();
  // Some keys have a weight.
  bool weigh() const;

  enum class Media {
    kJson,
    kLoose,  // clients call it anything, or nothing
    kOther,  // no HTTP
  };
  struct Kind {
    bool open = false;   // for everybody: health, metrics, pages
    bool admin = false;  // changes what the server does
    Media media = Media::kJson;
  };
  std::optional<ApiError> refuse_host(const HttpRequest& head) const;
  // Who is let in with a key is that key's caller.
  std::optional<ApiError> refuse(HttpRequest& head, const Kind& kind) const;

  // What a page needs to read the answer.
  void add_cors(const HttpRequest& request, HttpResponse& response) const;
  HttpResponse answer_options(const HttpRequest& preflight) const;

 private:
  bool allows_origin(std::string_view origin) const;
  std::optional<ApiError> refuse_key(HttpRequest& head, bool admin) const;
  std::optional<ApiError> refuse_page(const HttpRequest& head, bool admin) const;
  static std::optional<ApiError> refuse_body(const HttpRequest& head, Media media);

  DoorOptions options_;
  mutable std::shared_mutex mutex_;  // of the keys
  Reach reach_ = Reach::kNetwork;
  std::string own_name_;  // of --host
};

}  // namespace wde::server
