#include "loader/hub/client.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <system_error>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "loader/json_file.h"

namespace wde::hub {
namespace {

using Stage = DownloadProgress::Stage;

constexpr int kAttempts = 5;
// Without an answer of any kind: a name that was meant to be a directory, on a machine without a network.
constexpr int kUnansweredAttempts = 3;
constexpr std::chrono::milliseconds kFirstPause{500};
constexpr long kLongestPause = 60;  // seconds; a Hub that wants more is not waited for
constexpr long kAnswerSeconds = 60;
constexpr long kHurriedConnectSeconds = 3;
constexpr size_t kMaxListing = size_t{64} << 20;
// An attempt that got this much further was none of the failing ones.
constexpr uint64_t kProgress = uint64_t{1} << 20;

bool is_passing(long status) { return status == 408 || status == 425 || status == 429 || status >= 500; }

std::optional<uint64_t> to_number(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// W/"abc" -> abc
std::string plain_etag(std::string_view etag) {
  if (etag.starts_with("W/")) etag.remove_prefix(2);
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') etag = etag.substr(1, etag.size() - 2);
  return std::string(etag);
}

// The first byte that a 206 answer brings: "bytes 5-9/10".
std::optional<uint64_t> range_begin(const std::string& content_range) {
  const std::string_view text = content_range;
  if (!text.starts_with("bytes ")) return std::nullopt;
  return to_number(text.substr(6, std::min(text.find('-'), text.size()) - 6));
}

std::optional<uint64_t> size_in(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_unsigned()) return std::nullopt;
  return found->get<uint64_t>();
}

std::string text_in(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

ListedFile listed_file(const nlohmann::json& item) {
  ListedFile file;
  file.size = size_in(item, "size");
  file.git_hash = text_in(item, "blobId");
  if (const auto lfs = item.find("lfs"); lfs != item.end() && lfs->is_object()) {
    file.sha256 = text_in(*lfs, "sha256");
    if (const auto size = size_in(*lfs, "size")) file.size = size;
  }
  return file;
}

Listing parse_listing(const HttpResponse& response) {
  const nlohmann::json json = parse_json(response.body, response.url);
  Listing listing;
  if (json.is_object()) listing.commit = text_in(json, "sha");
  if (!is_commit(listing.commit)) {
    throw LoadError(fmt::format("{}: expected an object with a commit of 40 hexadecimal digits as \"sha\", found {}",
                                response.url, listing.commit.empty() ? describe(json) : quote(listing.commit)));
  }
  const auto siblings = json.find("siblings");
  if (siblings == json.end() || !siblings->is_array()) {
    throw LoadError(fmt::format("{}: expected a list of files as \"siblings\", found none", response.url));
  }
  for (const nlohmann::json& item : *siblings) {
    const std::string path = item.is_object() ? text_in(item, "rfilename") : "";
    // They become paths below the cache.
    if (!is_safe_path(path)) {
      throw LoadError(
          fmt::format("{}: expected the names of files inside the repository, found {}; nothing is "
                      "downloaded from there",
                      response.url, quote(path)));
    }
    listing.files.emplace(path, listed_file(item));
  }
  return listing;
}

// At the end of the file; through signals and short writes.
void write_all(int descriptor, std::string_view bytes, const std::string& name) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      const int error = count == 0 ? ENOSPC : errno;
      throw LoadError(
          fmt::format("{}: cannot be written: {}. What has come so far is kept, the next start goes on there", name,
                      std::generic_category().message(error)));
    }
    bytes.remove_prefix(static_cast<size_t>(count));
  }
}

void cut_file(int descriptor, uint64_t size, const std::string& name) {
  if (::ftruncate(descriptor, static_cast<off_t>(size)) != 0 || ::lseek(descriptor, 0, SEEK_END) < 0) {
    throw LoadError(fmt::format("{}: cannot be written: {}", name, std::generic_category().message(errno)));
  }
}

// Puts the body where it belongs: behind what is there, or at the beginning if the server ignores the Range.
class FileSink {
 public:
  FileSink(int descriptor, const std::string& name, const RemoteFile& remote, uint64_t have,
           const std::function<void(uint64_t)>& on_bytes)
      : descriptor_(descriptor), name_(name), remote_(remote), have_(have), on_bytes_(on_bytes) {}

  void operator()(const HttpResponse& response, std::string_view bytes) {
    if (first_) begin(response);
    first_ = false;
    if (bytes.size() > remote_.size - have_) {
      cut_file(descriptor_, 0, name_);
      throw LoadError(
          fmt::format("{}: expected {} bytes, as the Hub announced, but it sends more", remote_.path, remote_.size));
    }
    write_all(descriptor_, bytes, name_);
    have_ += bytes.size();
    on_bytes_(have_);
  }
  uint64_t have() const { return have_; }

 private:
  void begin(const HttpResponse& response) {
    if (response.status != 206) {
      if (have_ != 0) cut_file(descriptor_, 0, name_);
      have_ = 0;
    } else if (range_begin(response.header("content-range")) != have_) {
      cut_file(descriptor_, 0, name_);
      have_ = 0;
      throw NetworkError("it sent another part of the file than was asked for");
    }
  }

  int descriptor_;
  const std::string& name_;
  const RemoteFile& remote_;
  uint64_t have_;
  const std::function<void(uint64_t)>& on_bytes_;
  bool first_ = true;
};

}  // namespace

HubClient::HubClient(const Settings& settings, const RepoName& name, std::function<void(Stage)> tick)
    : settings_(settings),
      name_(name),
      tick_(std::move(tick)),
      http_(settings.endpoint, settings.token, settings.certificates) {}

std::string HubClient::file_url(const std::string& commit, const std::string& path) const {
  return fmt::format("{}/{}/resolve/{}/{}", settings_.endpoint, name_.repo, commit, url_quote(path, "/"));
}

void HubClient::refuse(const HttpResponse& response, const std::string& what) const {
  throw HubError(explain_refusal(response, name_, settings_, what));
}

void HubClient::give_up(const std::string& what, const std::string& reason) const {
  throw HubError(
      fmt::format("{}: no answer from {}: {}. Check the connection (proxies come from https_proxy, another "
                  "Hub from HF_ENDPOINT); or put the model into a directory and name that",
                  what, settings_.endpoint, reason));
}

void HubClient::pause(int attempt, const std::optional<long>& wanted) {
  using Clock = std::chrono::steady_clock;
  const std::chrono::milliseconds length = wanted ? std::chrono::seconds(*wanted) : kFirstPause * (1 << attempt);
  const Clock::time_point end = Clock::now() + length;
  while (Clock::now() < end) {
    tick_(Stage::kRetrying);
    std::this_thread::sleep_for(std::min<Clock::duration>(std::chrono::milliseconds(100),
                                                          std::max(end - Clock::now(), Clock::duration::zero())));
  }
}

HttpResponse HubClient::ask(const HttpRequest& request, const std::string& what, int attempts) {
  for (int attempt = 0;; ++attempt) {
    const bool last = attempt + 1 >= attempts;
    std::optional<long> wanted;
    try {
      HttpResponse response = http_.send(request);
      if (response.status >= 200 && response.status < 400) return response;
      const bool too_long = response.retry_after.value_or(0) > kLongestPause;
      if (!is_passing(response.status) || last || too_long) refuse(response, what);
      wanted = response.retry_after;
    } catch (const NetworkError& error) {
      if (last || attempt + 1 >= kUnansweredAttempts) give_up(what, error.what());
    }
    pause(attempt, wanted);
  }
}

// libcurl would wait for a pipe.
void HubClient::check_certificates() const {
  if (settings_.certificates.empty() || !settings_.endpoint.starts_with("https://")) return;
  try {
    const FileHandle regular(settings_.certificates);
  } catch (const LoadError& error) {
    throw HubError(fmt::format("{} (the certificates that CURL_CA_BUNDLE, REQUESTS_CA_BUNDLE or SSL_CERT_FILE names)",
                               error.what()));
  }
}

Listing HubClient::list(bool patient) {
  check_certificates();
  HttpRequest request;
  // blobs: sizes and hashes too, so that the list serves the Python tools as theirs would.
  request.url =
      fmt::format("{}/api/models/{}/revision/{}?blobs=true", settings_.endpoint, name_.repo, url_quote(name_.revision));
  request.max_body = kMaxListing;
  request.total_seconds = patient ? kAnswerSeconds : settings_.answer_seconds;
  request.connect_seconds =
      patient ? request.connect_seconds : std::min(kHurriedConnectSeconds, settings_.answer_seconds);
  request.stall_seconds = settings_.stall_seconds;
  request.tick = [this] { tick_(Stage::kAsking); };
  const HttpResponse response = ask(request, name_.full(), patient ? kAttempts : 1);
  if (response.status >= 300) refuse(response, name_.full());
  Listing listing = parse_listing(response);
  if (is_commit(name_.revision) && listing.commit != name_.revision) {
    throw LoadError(fmt::format("{}: expected the files of commit {}, found those of {}", response.url, name_.revision,
                                listing.commit));
  }
  return listing;
}

RemoteFile HubClient::describe(const std::string& commit, const std::string& path) {
  const std::string what = fmt::format("{}: {}", name_.full(), path);
  HttpRequest request;
  request.url = file_url(commit, path);
  request.head = true;
  request.follow = HttpRequest::Follow::kSameHost;
  request.total_seconds = kAnswerSeconds;
  request.stall_seconds = settings_.stall_seconds;
  request.tick = [this] { tick_(Stage::kAsking); };
  const HttpResponse response = ask(request, what, kAttempts);

  const std::string found = response.header("x-repo-commit");
  if (!found.empty() && found != commit) {
    throw LoadError(fmt::format("{}: expected the file of commit {}, found that of {}", what, commit, quote(found)));
  }
  RemoteFile remote;
  remote.path = path;
  // The linked ones are of the file; a redirect's own are of the redirect.
  const std::string linked = response.header("x-linked-etag");
  remote.etag = plain_etag(linked.empty() && response.status < 300 ? response.header("etag") : linked);
  if (!is_blob_name(remote.etag)) {
    throw LoadError(fmt::format("{}: expected a hash of the file as its ETag, found {}; is {} a Hub?", what,
                                quote(remote.etag), settings_.endpoint));
  }
  std::string size = response.header("x-linked-size");
  if (size.empty() && response.status < 300) size = response.header("content-length");
  const std::optional<uint64_t> bytes = to_number(size);
  if (!bytes || *bytes > uint64_t{INT64_MAX}) {
    throw LoadError(fmt::format("{}: expected the file's size in the Hub's answer, found {}", what, quote(size)));
  }
  remote.size = *bytes;
  return remote;
}

void HubClient::fetch(const std::string& commit, const RemoteFile& remote, int descriptor,
                      const std::string& local_name, const std::function<void(uint64_t)>& on_bytes) {
  const std::string what = fmt::format("{}: {}", name_.full(), remote.path);
  int failures = 0;
  for (;;) {
    const off_t end = ::lseek(descriptor, 0, SEEK_END);
    const uint64_t have = end < 0 ? 0 : static_cast<uint64_t>(end);
    if (have > remote.size) {
      cut_file(descriptor, 0, local_name);
      continue;
    }
    on_bytes(have);
    if (have == remote.size) return;

    FileSink sink(descriptor, local_name, remote, have, on_bytes);
    HttpRequest request;
    request.url = file_url(commit, remote.path);
    request.stall_seconds = settings_.stall_seconds;
    if (have > 0) request.range_begin = have;
    request.sink = std::ref(sink);
    request.tick = [this] { tick_(Stage::kDownloading); };
    std::optional<long> wanted;
    std::string reason;
    try {
      const HttpResponse response = http_.send(request);
      wanted = response.retry_after;
      if (response.status == 416) {
        cut_file(descriptor, 0, local_name);  // what is there is not of this file
      } else if (response.status >= 300) {
        const bool too_long = wanted.value_or(0) > kLongestPause;
        if (!is_passing(response.status) || too_long || failures + 1 >= kAttempts) refuse(response, what);
      }
      if (sink.have() == remote.size) return;
      reason = fmt::format("it sent {} of {} bytes", sink.have(), remote.size);
    } catch (const NetworkError& error) {
      reason = error.what();
    }
    failures = sink.have() >= have + kProgress ? 1 : failures + 1;
    if (failures >= kAttempts) give_up(what, reason + fmt::format(" ({} attempts)", kAttempts));
    pause(failures - 1, wanted);
  }
}

}  // namespace wde::hub
