#include "server/pages/pages.h"

#include <fmt/format.h>

#include <array>
#include <string>

#include "server/net/http_gzip.h"

// What lies between is in pages/files.S.
extern "C" {
extern const char wde_openapi[], wde_openapi_end[];
extern const char wde_swagger_ui_js[], wde_swagger_ui_js_end[];
extern const char wde_swagger_ui_css[], wde_swagger_ui_css_end[];
}

namespace wde::server {
namespace {

// The short files of pages/, made into string literals by CMake.
constexpr std::string_view kPlayground =
#include "server/pages/playground.html.inc"
    ;
constexpr std::string_view kDocs =
#include "server/pages/docs.html.inc"
    ;
constexpr std::string_view kDocsScript =
#include "server/pages/docs.js.inc"
    ;

// The pages load nothing from anywhere else, and can be made to load nothing.
constexpr const char* kPolicy =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

// Swagger UI has its scripts and styles in files, puts styles into elements, and its images into data.
constexpr const char* kDocsPolicy =
    "default-src 'none'; style-src 'self' 'unsafe-inline'; script-src 'self'; connect-src 'self'; img-src 'self' "
    "data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

std::string rooted(std::string_view page, std::string_view place, std::string_view root) {
  std::string text(page);
  for (size_t at = text.find(place); at != std::string::npos; at = text.find(place, at + root.size())) {
    text.replace(at, place.size(), root);
  }
  return text;
}

HttpResponse html(std::string_view text, const char* policy) {
  HttpResponse response;
  response.content_type = "text/html; charset=utf-8";
  response.headers.emplace_back("Content-Security-Policy", policy);
  response.headers.emplace_back("X-Content-Type-Options", "nosniff");
  response.body = text;
  return response;
}

constexpr size_t kMaxPage = 64 << 20;

HttpResponse asset(std::string_view text, const char* type) {
  HttpResponse response;
  response.content_type = type;
  response.headers.emplace_back("X-Content-Type-Options", "nosniff");
  response.headers.emplace_back("Cache-Control", "max-age=3600");
  response.body = text;
  return response;
}

HttpResponse packed_asset(const char* begin, const char* end, const char* type, std::string_view accept_encoding) {
  const std::string_view file(begin, static_cast<size_t>(end - begin));
  const bool packed = accepts_gzip(accept_encoding);
  HttpResponse response = asset(packed ? file : std::string_view(), type);
  if (packed) {
    response.headers.emplace_back("Content-Encoding", "gzip");
  } else {
    (void)gunzip(file, kMaxPage, response.body);  // our own file
  }
  response.headers.emplace_back("Vary", "Accept-Encoding");
  return response;
}

constexpr const char* kScriptType = "text/javascript; charset=utf-8";
constexpr const char* kStyleType = "text/css; charset=utf-8";

}  // namespace

std::optional<HttpResponse> find_page(std::string_view path, std::string_view accept_encoding, std::string_view root) {
  if (path == "/") return html(rooted(kPlayground, "%ROOT%", root), kPolicy);
  if (path == "/docs") return html(rooted(kDocs, "%ROOT%", root), kDocsPolicy);
  if (path == "/docs/start.js") return asset(rooted(kDocsScript, "%ROOT%", root), kScriptType);
  if (path == "/docs/swagger-ui-bundle.js") {
    return packed_asset(wde_swagger_ui_js, wde_swagger_ui_js_end, kScriptType, accept_encoding);
  }
  if (path == "/docs/swagger-ui.css") {
    return packed_asset(wde_swagger_ui_css, wde_swagger_ui_css_end, kStyleType, accept_encoding);
  }
  HttpResponse response;
  if (path == "/favicon.ico") {
    response.status = 204;
    response.content_type.clear();
    return response;
  }
  if (path == "/openapi.json" || path == "/api-doc/openapi.json") {
    response.body.assign(wde_openapi, wde_openapi_end);
    if (!root.empty())
      response.body = rooted(response.body, R"({"url": "/"})", fmt::format(R"({{"url": "{}"}})", root));
    return response;
  }
  return std::nullopt;
}

}  // namespace wde::server
