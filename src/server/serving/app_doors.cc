// What App decides by a request's header alone, and what it does with a body before anybody reads it.
#include <fmt/format.h>

#include "server/net/http_gzip.h"
#include "server/serving/app.h"

namespace wde::server {
namespace {

// What documented clients say that a body is: Ollama's, Weaviate's and KServe's send anything, or nothing.
Doors::Media media_of(const RouteMatch& match) {
  if (match.route != nullptr && match.route->body == Body::kMessage) return Doors::Media::kOther;
  const ErrorStyle style = error_style(match);
  return style == ErrorStyle::kOllama || style == ErrorStyle::kBare ? Doors::Media::kLoose : Doors::Media::kJson;
}

}  // namespace

void App::drain() {
  draining_ = true;
  // Nothing was taken while a model of those that the server was started for is missing.
  const std::vector<ModelState> states = models_.states();
  const bool failed = std::any_of(states.begin(), states.end(), [](const ModelState& state) {
    return state.phase == ModelState::Phase::kFailed && !state.facts;
  });
  log_->event(failed ? "stopping: a model could not be loaded"
                     : "draining: answering what has been taken, taking no more");
}

bool App::is_probe(const HttpRequest& head) {
  return (head.method == "GET" || head.method == "HEAD") && is_probe_path(route_of(head).path);
}

HttpResponse App::refusal(int status, const std::string& reason, const HttpRequest& request) {
  const Fault fault = status == 413 ? Fault::kTooLarge : status == 503 ? Fault::kUnavailable : Fault::kInvalid;
  HttpResponse response = error_response(ApiError(fault, reason, {}, status == 503 ? 1 : 0), ErrorStyle::kEnvelope);
  response.status = status;
  metrics_.count_http("", status);
  AccessEntry entry;
  entry.remote = request.remote;
  entry.method = request.method;
  entry.path = request.path;
  entry.error = reason;
  entry.status = status;
  entry.bytes_in = request.body.size();
  entry.bytes_out = response.body.size();
  entry.seconds = request.seconds_since_arrival();
  log_->write(entry);
  return response;
}

HttpResponse App::turn_away(const HttpRequest& head, const RouteMatch& match, const ApiError& error) {
  HttpResponse response = error_response(error, error_style(match));
  const std::string id = request_id(head);
  response.headers.emplace_back("x-request-id", id);
  doors_.add_cors(head, response);
  metrics_.count_http(match.route != nullptr ? match.route->path : "", response.status);
  AccessEntry entry;
  entry.remote = head.remote;
  entry.method = head.method;
  entry.path = head.path;
  entry.request_id = id;
  entry.error = error.what();
  entry.status = response.status;
  entry.bytes_out = response.body.size();
  entry.seconds = head.seconds_since_arrival();
  log_->write(entry);
  return response;
}

// Proxies pass a request on with --root-path before its path or without it.
RouteMatch App::route_of(const HttpRequest& request) const {
  if (request.route != nullptr) {
    return {request.route, request.route->dialects[0], request.path, request.header("model")};
  }
  std::string_view path = request.path;
  const std::string& root = options_.root_path;
  if (!root.empty() && path.starts_with(root) && (path.size() == root.size() || path[root.size()] == '/')) {
    path.remove_prefix(root.size());
  }
  return find_route(path.empty() ? "/" : path);
}

std::optional<HttpResponse> App::refuse(HttpRequest& head) {
  const RouteMatch match = route_of(head);
  if (auto error = doors_.refuse_host(head)) return turn_away(head, match, *error);
  if (head.method == "OPTIONS") return std::nullopt;
  const bool inference = head.method == "POST" && match.route != nullptr;
  if (!inference && !is_info_path(head.method, match.path, match.dialect)) {
    const bool known = match.route != nullptr || is_info_path("GET", match.path, match.dialect) ||
                       is_info_path("POST", match.path, match.dialect);
    if (!known) {
      return turn_away(head, match, ApiError(Fault::kNotFound, fmt::format("there is nothing at {}", head.path)));
    }
    HttpResponse response =
        turn_away(head, match, ApiError(Fault::kMethod, fmt::format("{} is not for {}", head.path, head.method)));
    const bool get = is_info_path("GET", match.path, match.dialect);
    const bool post = match.route != nullptr || is_info_path("POST", match.path, match.dialect);
    response.headers.emplace_back("Allow", get && post ? "GET, HEAD, POST" : get ? "GET, HEAD" : "POST");
    return response;
  }
  const Doors::Kind kind{.open = is_open_path(match.path),
                         .admin = head.method == "POST" && is_admin_path(match.path),
                         .media = media_of(match)};
  if (auto error = doors_.refuse(head, kind)) return turn_away(head, match, *error);
  if (head.method == "POST" && draining_) {
    auto response = turn_away(head, match, ApiError(Fault::kUnavailable, "the server is shutting down", {}, 1));
    response.close = true;
    return response;
  }
  return std::nullopt;
}

void App::decode_body(HttpRequest& request, size_t limit) const {
  const std::string_view encoding = request.header("content-encoding");
  if (encoding.empty() || encoding == "identity") return;  // others than gzip were refused
  std::string decoded;
  switch (gunzip(request.body, limit, decoded)) {
    case Gunzip::kDone:
      break;
    case Gunzip::kDamaged:
      throw ApiError(Fault::kSyntax, "the body is not what its Content-Encoding says: it is no whole gzip file");
    case Gunzip::kTooLarge:
      throw ApiError(Fault::kTooLarge, fmt::format("the decompressed body is larger than {} bytes", limit));
    case Gunzip::kBomb:
      throw ApiError(Fault::kTooLarge, fmt::format("the body decompresses to more than {} times its size", kMaxRatio));
  }
  if (!request.memory.try_set(std::max(request.body.size(), decoded.size()))) {
    throw ApiError(Fault::kUnavailable, "the server has no memory left for the decompressed body", {}, 1);
  }
  request.body = std::move(decoded);
}

}  // namespace wde::server
