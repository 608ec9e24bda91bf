#include "server/pages.h"

namespace wde::server {

std::optional<HttpResponse> find_page(std::string_view path) {
  HttpResponse response;
  if (path == "/favicon.ico") {
    response.status = 204;
    response.content_type.clear();
    return response;
  }
  if (path == "/") {
    response.content_type = "text/html; charset=utf-8";
    response.body = "<!doctype html><title>wde</title><p>wde serves here.";
    return response;
  }
  return std::nullopt;
}

}  // namespace wde::server
