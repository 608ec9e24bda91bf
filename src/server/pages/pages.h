// Pages: what is served as it is: the playground, the description of the API and the page that shows it.
#pragma once

#include <optional>
#include <string_view>

#include "server/net/http.h"

namespace wde::server {

// `accept_encoding`: the client's header. `root`: what a proxy puts before all paths, "" or "/some/path".
std::optional<HttpResponse> find_page(std::string_view path, std::string_view accept_encoding,
                                      std::string_view root = "");

}  // namespace wde::server
