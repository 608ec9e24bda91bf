#include "server/pages.h"

#include <array>

namespace wde::server {
namespace {

// The files of pages/, made into string literals by CMake.
constexpr std::string_view kPlayground =
#include "server/pages/playground.html.inc"
    ;
constexpr std::string_view kDocs =
#include "server/pages/docs.html.inc"
    ;
constexpr std::string_view kOpenApi =
#include "server/pages/openapi.json.inc"
    ;

// The pages load nothing from anywhere else, and can be made to load nothing.
constexpr const char* kPolicy =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

HttpResponse html(std::string_view text) {
  HttpResponse response;
  response.content_type = "text/html; charset=utf-8";
  response.headers.emplace_back("Content-Security-Policy", kPolicy);
  response.headers.emplace_back("X-Content-Type-Options", "nosniff");
  response.body = text;
  return response;
}

}  // namespace

std::optional<HttpResponse> find_page(std::string_view path) {
  if (path == "/") return html(kPlayground);
  if (path == "/docs") return html(kDocs);
  HttpResponse response;
  if (path == "/favicon.ico") {
    response.status = 204;
    response.content_type.clear();
    return response;
  }
  if (path == "/openapi.json" || path == "/api-doc/openapi.json") {
    response.body = kOpenApi;
    return response;
  }
  return std::nullopt;
}

}  // namespace wde::server
