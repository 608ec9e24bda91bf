#include "server/serving/doors.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <string>
#include <utility>

#include "base/text.h"
#include "wde/result.h"

namespace wde::server {
namespace {

// "a.example:80" -> "a.example"; "[::1]:80" -> "::1".
std::string host_without_port(std::string_view host) {
  if (host.starts_with('[')) return ascii_lower(host.substr(1, std::min(host.find(']'), host.size()) - 1));
  return ascii_lower(host.substr(0, host.rfind(':')));
}

bool is_address(const std::string& host) {
  in6_addr ignored{};
  return ::inet_pton(AF_INET, host.c_str(), &ignored) == 1 || ::inet_pton(AF_INET6, host.c_str(), &ignored) == 1;
}

// "http://a.example:80" -> "a.example:80"; the port may be left out where it is the scheme's own.
std::string_view host_of_origin(std::string_view origin) {
  const size_t slashes = origin.find("://");
  return slashes == std::string_view::npos ? std::string_view() : origin.substr(slashes + 3);
}

std::string without_usual_port(std::string_view host) {
  for (std::string_view port : {":80", ":443"}) {
    if (host.ends_with(port)) host.remove_suffix(port.size());
  }
  return ascii_lower(host);
}

// "Application/JSON; charset=utf-8" -> "application/json".
std::string media_type(const HttpRequest& head) {
  const std::string_view type = head.header("content-type");
  return ascii_lower(trimmed(type.substr(0, type.find(';'))));
}

bool is_json(std::string_view type) {
  return type == "application/json" || type == "text/json" ||
         (type.starts_with("application/") && type.ends_with("+json"));
}

// Clients send headers of their own (OpenAI's x-stainless-…); none means anything here that a page should not ask for.
std::string allowed_headers(const HttpRequest& preflight) {
  const std::string_view wanted = preflight.header("access-control-request-headers");
  const bool names = std::all_of(wanted.begin(), wanted.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_' || c == ',' || c == ' ';
  });
  if (!wanted.empty() && names) return std::string(wanted);
  return "authorization, content-type, x-api-key, x-request-id, x-request-priority, x-request-timeout-ms, traceparent";
}

bool is_host_character(unsigned char c) {
  return std::isalnum(c) != 0 || c == '-' || c == '.' || c == '_' || c == ':' || c == '[' || c == ']';
}

}  // namespace

void check_origin(const std::string& origin) {
  if (origin == "*" || origin == "null") return;
  const std::string_view host = host_of_origin(origin);
  const size_t scheme = origin.find("://");
  const bool good =
      scheme != std::string::npos && scheme > 0 && !host.empty() &&
      std::all_of(origin.begin(), origin.begin() + static_cast<std::ptrdiff_t>(scheme),
                  [](unsigned char c) { return std::isalnum(c) != 0 || c == '+' || c == '-' || c == '.'; }) &&
      std::all_of(host.begin(), host.end(), is_host_character);
  if (good && ascii_lower(origin) == origin) return;
  throw UsageError(
      fmt::format("--cors-allow-origin is \"{}\", expected * or an origin as browsers send it: https://a.example, in "
                  "small letters, "
                  "with the port if it is not the usual one, without a path or a slash at the end",
                  origin));
}

void check_host_name(const std::string& host) {
  if (host == "*") return;
  const bool good = !host.empty() && std::all_of(host.begin(), host.end(), is_host_character) &&
                    (is_address(host) || host.find_first_of(":[]") == std::string::npos);
  if (good) return;
  throw UsageError(fmt::format(
      "--allowed-host is \"{}\", expected * or a name or address without scheme and port: a.example", host));
}

bool Doors::allows_origin(std::string_view origin) const {
  return std::any_of(options_.cors_origins.begin(), options_.cors_origins.end(),
                     [&](const std::string& allowed) { return allowed == "*" || allowed == origin; });
}

void Doors::reload() {
  ApiKeys keys = options_.keys, admin_keys = options_.admin_keys;  // both or none
  keys.reload();
  admin_keys.reload();
  const std::scoped_lock lock(mutex_);
  options_.keys = std::move(keys);
  options_.admin_keys = std::move(admin_keys);
}

std::optional<ApiError> Doors::refuse_host(const HttpRequest& head) const {
  const bool only_these = !options_.allowed_hosts.empty();
  if (reach_ == Reach::kUnixSocket || (reach_ == Reach::kNetwork && !only_these)) return std::nullopt;
  const std::string_view named = head.header("host");
  if (named.empty()) return std::nullopt;  // HTTP/1.0: no browser
  const std::string host = host_without_port(named);
  // Who has an address in the place of a name has not been led here by a name.
  if (host == "localhost" || host.ends_with(".localhost") || host == ascii_lower(own_name_) || is_address(host)) {
    return std::nullopt;
  }
  for (const std::string& allowed : options_.allowed_hosts) {
    if (allowed == "*" || ascii_lower(allowed) == host) return std::nullopt;
  }
  return ApiError(Fault::kForbidden,
                  fmt::format("this server is not known as \"{}\"; --allowed-host {} makes it so", host, host));
}

bool Doors::weigh() const {
  const std::shared_lock lock(mutex_);
  return options_.keys.weigh() || options_.admin_keys.weigh();
}

std::optional<ApiError> Doors::refuse_key(HttpRequest& head, bool admin) const {
  const std::shared_lock lock(mutex_);
  const ApiKey* const admin_key = options_.admin_keys.find(head);
  if (admin && options_.admin_keys.required()) {
    if (admin_key != nullptr) return std::nullopt;
    return ApiError(Fault::kUnauthorized, "this wants the key of --admin-key: \"Authorization: Bearer KEY\"");
  }
  const ApiKey* key = options_.keys.find(head);
  if (key == nullptr) key = admin_key;
  if (key == nullptr && options_.keys.required()) {
    return ApiError(Fault::kUnauthorized, "this server wants an API key: \"Authorization: Bearer KEY\"");
  }
  if (admin && reach_ == Reach::kNetwork) {
    return ApiError(Fault::kForbidden,
                    "a server that others can reach loads and unloads models only for the key of --admin-key");
  }
  if (key != nullptr) head.caller = key->caller;
  return std::nullopt;
}

// A page of another origin may send what a form could send, without asking, to any server that its reader can reach.
std::optional<ApiError> Doors::refuse_page(const HttpRequest& head, bool admin) const {
  const std::string_view origin = head.header("origin"), site = head.header("sec-fetch-site");
  // Browsers say which it is where they can; pages cannot change it.
  if (site == "same-origin" || site == "none") return std::nullopt;
  const bool own = site.empty() && (origin.empty() || without_usual_port(host_of_origin(origin)) ==
                                                          without_usual_port(head.header("host")));
  // Without a key of its own, what changes the server is for its own page alone.
  const bool may_be_allowed = !origin.empty() && (!admin || options_.admin_keys.required());
  if (own || (may_be_allowed && allows_origin(origin))) return std::nullopt;
  return ApiError(Fault::kForbidden,
                  fmt::format("pages of {} may not use this server; --cors-allow-origin allows it",
                              origin.empty() ? std::string_view("another site") : origin.substr(0, 200)));
}

std::optional<ApiError> Doors::refuse_body(const HttpRequest& head, Media media) {
  const std::string encoding = ascii_lower(trimmed(head.header("content-encoding")));
  if (!encoding.empty() && encoding != "identity" && encoding != "gzip" && encoding != "x-gzip") {
    return ApiError(Fault::kMediaType, fmt::format("the body's Content-Encoding is \"{}\", expected gzip or none",
                                                   encoding.substr(0, 100)));
  }
  const std::string type = media_type(head);
  if (is_json(type)) return std::nullopt;
  const bool usual = type.empty() || type == "application/x-www-form-urlencoded" /* curl's own */ ||
                     type == "text/plain" || type == "application/octet-stream";
  if (media == Media::kLoose && usual) return std::nullopt;
  return ApiError(Fault::kMediaType,
                  fmt::format("the body's Content-Type is \"{}\", expected application/json (with curl: -H "
                              "'content-type: application/json')",
                              type.substr(0, 100)));
}

std::optional<ApiError> Doors::refuse(HttpRequest& head, const Kind& kind) const {
  const bool post = head.method == "POST";
  if (post || !kind.open) {
    if (auto error = refuse_key(head, kind.admin)) return error;
  }
  if (!post || kind.media == Media::kOther) return std::nullopt;
  if (auto error = refuse_page(head, kind.admin)) return error;
  return refuse_body(head, kind.media);
}

void Doors::add_cors(const HttpRequest& request, HttpResponse& response) const {
  const std::string_view origin = request.header("origin");
  if (origin.empty() || !allows_origin(origin)) return;
  const bool any =
      std::find(options_.cors_origins.begin(), options_.cors_origins.end(), "*") != options_.cors_origins.end();
  response.headers.emplace_back("Access-Control-Allow-Origin", any ? "*" : std::string(origin));
  if (!any) response.headers.emplace_back("Vary", "Origin");
  response.headers.emplace_back("Access-Control-Expose-Headers",
                                "x-request-id, x-compute-tokens, x-compute-time, x-truncated-inputs, x-warning");
}

HttpResponse Doors::answer_options(const HttpRequest& preflight) const {
  HttpResponse response;
  response.status = 204;
  response.content_type.clear();
  if (!options_.cors_origins.empty() && !preflight.header("origin").empty()) {
    response.headers.emplace_back("Access-Control-Allow-Methods", "GET, POST, OPTIONS");
    response.headers.emplace_back("Access-Control-Allow-Headers", allowed_headers(preflight));
    response.headers.emplace_back("Access-Control-Max-Age", "86400");
  }
  return response;
}

}  // namespace wde::server
