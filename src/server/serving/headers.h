// Headers of an answer: what TEI's have, and what a client may not expect of its answer.
#pragma once

#include <string>
#include <vector>

#include "server/net/http.h"
#include "wde/response.h"

namespace wde::server {

void add_timing_headers(const std::vector<Response>& responses, size_t characters, size_t tokens, double seconds,
                        HttpResponse& response);
// In headers, since not every dialect's body has room for it. `truncated`: inputs that were cut.
void add_warnings(const std::vector<std::string>& warnings, size_t truncated, HttpResponse& response);
// Of a long body, if the client takes it.
void compress(const HttpRequest& request, HttpResponse& response);

}  // namespace wde::server
