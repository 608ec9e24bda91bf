// HttpClient: HEAD and GET over libcurl with redirects followed by hand, because who may be told the token, what counts
// as an answer and where a body begins depend on every hop. Knows nothing of the Hub.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace wde::hub {

// No answer, or one that broke off. what() is the reason without a name of what was asked for.
class NetworkError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct HttpResponse {
  long status = 0;
  std::string url;                             // of the last hop
  std::string redirect;                        // absolute, where a redirect was not followed
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // where there was no sink or the status is not 2xx (its beginning then)
  std::optional<long> retry_after;             // seconds

  std::string header(const std::string& name) const;  // "" if it is missing
};

struct HttpRequest {
  enum class Follow {
    kSameHost,  // a redirect to another host is the answer
    kAll,
  };
  std::string url;
  bool head = false;
  Follow follow = Follow::kAll;
  std::optional<uint64_t> range_begin;  // Range: bytes=N-
  long connect_seconds = 10;
  long total_seconds = 0;  // 0: no limit
  long stall_seconds = 10;
  size_t max_body = size_t{64} << 10;  // without a sink; more of a 2xx answer is a NetworkError
  // The body of the last hop, if its status is 2xx, as it comes. Whatever it throws comes out of send().
  std::function<void(const HttpResponse&, std::string_view)> sink;
  std::function<void()> tick;  // some times a second; may throw
};

class HttpClient {
 public:
  // `token` is told to the host of `endpoint` alone. `certificates`: a file, "": the system's.
  HttpClient(const std::string& endpoint, const std::string& token, const std::string& certificates);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Any status is an answer. Throws NetworkError.
  HttpResponse send(const HttpRequest& request);

 private:
  void begin();
  HttpResponse send_once(const HttpRequest& request, const std::string& url);

  std::shared_ptr<void> handle_;  // CURL: keeps connections alive between requests; nullptr: there was none yet
  std::string endpoint_, origin_;
  std::string token_;
  std::string certificates_;
};

// "https://host:443"; "" for what is no http(s) address.
std::string origin_of(const std::string& url);

}  // namespace wde::hub
