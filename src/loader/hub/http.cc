#include "loader/hub/http.h"
#include "base/text.h"

#include <curl/curl.h>

#include <algorithm>
#include <exception>
#include <mutex>

#include <fmt/format.h>

#include "loader/json_file.h"

namespace wde::hub {
namespace {

constexpr int kMaxRedirects = 10;
constexpr size_t kMaxHeaders = 200;
constexpr size_t kMaxErrorBody = size_t{64} << 10;

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using HeaderList = std::unique_ptr<curl_slist, FreeList>;

void append(HeaderList& list, const std::string& line) {
  curl_slist* longer = curl_slist_append(list.get(), line.c_str());
  if (longer == nullptr) throw std::bad_alloc();
  (void)list.release();
  list.reset(longer);
}

// One transfer: what libcurl's callbacks fill. An exception must not pass through libcurl, so it waits in `error`.
struct Transfer {
  const HttpRequest* request = nullptr;
  CURL* handle = nullptr;
  HttpResponse response;
  std::exception_ptr error;
  bool too_long = false;

  bool succeeded() const { return response.status >= 200 && response.status < 300; }

  void header(std::string_view line) {
    if (line.starts_with("HTTP/")) {  // another answer begins: 100 Continue came first
      response.headers.clear();
      return;
    }
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || response.headers.size() >= kMaxHeaders) return;
    response.headers[ascii_lower(line.substr(0, colon))] = trimmed(line.substr(colon + 1));
  }

  bool body(std::string_view bytes) {
    curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &response.status);
    if (succeeded() && request->sink) {
      request->sink(response, bytes);
      return true;
    }
    const size_t limit = succeeded() ? request->max_body : kMaxErrorBody;
    const size_t room = limit - std::min(limit, response.body.size());
    response.body += bytes.substr(0, room);
    too_long = succeeded() && bytes.size() > room;
    return !too_long;
  }
};

template <class Call>
bool guarded(Transfer& transfer, const Call& call) noexcept {
  try {
    return call();
  } catch (...) {
    transfer.error = std::current_exception();
    return false;
  }
}

size_t on_header(char* data, size_t, size_t size, void* user) {
  Transfer& transfer = *static_cast<Transfer*>(user);
  const auto call = [&] {
    transfer.header(std::string_view(data, size));
    return true;
  };
  return guarded(transfer, call) ? size : 0;
}

size_t on_body(char* data, size_t, size_t size, void* user) {
  Transfer& transfer = *static_cast<Transfer*>(user);
  const bool fine = guarded(transfer, [&] { return transfer.body(std::string_view(data, size)); });
  return fine ? size : CURL_WRITEFUNC_ERROR;
}

int on_tick(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  Transfer& transfer = *static_cast<Transfer*>(user);
  const auto call = [&] {
    if (transfer.request->tick) transfer.request->tick();
    return true;
  };
  return guarded(transfer, call) ? 0 : 1;
}

}  // namespace

std::string HttpResponse::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

std::string origin_of(const std::string& url) {
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parsed(curl_url(), curl_url_cleanup);
  if (!parsed || curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return "";
  const auto part = [&](CURLUPart which) {
    char* text = nullptr;
    std::string out;
    if (curl_url_get(parsed.get(), which, &text, CURLU_DEFAULT_PORT) == CURLUE_OK) out = text;
    curl_free(text);
    return ascii_lower(out);
  };
  const std::string scheme = part(CURLUPART_SCHEME);
  if (scheme != "http" && scheme != "https") return "";
  return fmt::format("{}://{}:{}", scheme, part(CURLUPART_HOST), part(CURLUPART_PORT));
}

HttpClient::HttpClient(const std::string& endpoint, const std::string& token, const std::string& certificates)
    : endpoint_(endpoint), token_(token), certificates_(certificates) {}

HttpClient::~HttpClient() = default;

void HttpClient::begin() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  handle_ = std::shared_ptr<void>(curl_easy_init(), [](void* handle) { curl_easy_cleanup(handle); });
  if (!handle_) throw NetworkError(curl_easy_strerror(CURLE_FAILED_INIT));
  origin_ = origin_of(endpoint_);
}

HttpResponse HttpClient::send_once(const HttpRequest& request, const std::string& url) {
  if (!handle_) begin();
  CURL* handle = handle_.get();
  Transfer transfer;
  transfer.request = &request;
  transfer.handle = handle;
  char reason[CURL_ERROR_SIZE] = "";
  HeaderList headers;
  // Sizes and hashes are of the file itself, not of a compressed form.
  append(headers, "Accept-Encoding: identity");
  if (!token_.empty() && origin_of(url) == origin_) append(headers, "Authorization: Bearer " + token_);
  if (request.range_begin) append(headers, fmt::format("Range: bytes={}-", *request.range_begin));

  curl_easy_reset(handle);
  curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(handle, CURLOPT_NOBODY, request.head ? 1L : 0L);
  curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(handle, CURLOPT_USERAGENT, "wde/" WDE_VERSION);
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, reason);
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, request.connect_seconds);
  curl_easy_setopt(handle, CURLOPT_TIMEOUT, request.total_seconds);
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, request.stall_seconds);
  if (!certificates_.empty()) curl_easy_setopt(handle, CURLOPT_CAINFO, certificates_.c_str());
  curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(handle, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, on_tick);
  curl_easy_setopt(handle, CURLOPT_XFERINFODATA, &transfer);
  curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);

  const CURLcode code = curl_easy_perform(handle);
  curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, nullptr);
  if (transfer.error) std::rethrow_exception(transfer.error);
  if (transfer.too_long) throw NetworkError(fmt::format("its answer is longer than {} bytes", request.max_body));
  if (code != CURLE_OK) throw NetworkError(reason[0] != '\0' ? reason : curl_easy_strerror(code));

  HttpResponse& response = transfer.response;
  curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &response.status);
  curl_off_t wait = 0;
  if (response.headers.contains("retry-after") && curl_easy_getinfo(handle, CURLINFO_RETRY_AFTER, &wait) == CURLE_OK) {
    response.retry_after = static_cast<long>(std::min<curl_off_t>(wait, 1 << 30));
  }
  const char* redirect = nullptr;
  if (curl_easy_getinfo(handle, CURLINFO_REDIRECT_URL, &redirect) == CURLE_OK && redirect != nullptr) {
    response.redirect = redirect;
  }
  response.url = url;
  return std::move(response);
}

HttpResponse HttpClient::send(const HttpRequest& request) {
  std::string url = request.url;
  for (int hop = 0; hop <= kMaxRedirects; ++hop) {
    HttpResponse response = send_once(request, url);
    const bool redirected = response.status >= 300 && response.status < 400 && !response.redirect.empty();
    if (!redirected) return response;
    const std::string from = origin_of(url), to = origin_of(response.redirect);
    if (to.empty()) throw NetworkError("it redirects to " + quote(response.redirect) + ", which is no web address");
    if (from.starts_with("https:") && !to.starts_with("https:")) {
      throw NetworkError("it redirects from https to " + quote(to) + ", which is not encrypted");
    }
    if (request.follow == HttpRequest::Follow::kSameHost &&
        (from != to || response.headers.contains("x-linked-etag"))) {
      return response;
    }
    url = response.redirect;
  }
  throw NetworkError(fmt::format("it redirects more than {} times", kMaxRedirects));
}

}  // namespace wde::hub
