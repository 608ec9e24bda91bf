// Pages: what is served as it is: the playground, the description of the API and the page that shows it.
#pragma once

#include <optional>
#include <string_view>

#include "server/net/http.h"

namespace wde::server {

// `accept_encoding`: the client's header.
std::optional<HttpResponse> find_page(std::string_view path, std::string_view accept_encoding);

}  // namespace wde::server
