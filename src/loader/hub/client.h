// HubClient: the three questions that are asked of the Hub (which files has a revision, what is a file's hash and size,
// its bytes), with retries, and its refusals as sentences that say what to do.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "loader/hub/http.h"
#include "loader/hub/names.h"
#include "loader/hub/settings.h"
#include "wde/hub.h"
#include "wde/result.h"

namespace wde::hub {

// The Hub did not answer or refused: a cached snapshot may serve instead.
class HubError : public LoadError {
 public:
  using LoadError::LoadError;
};

struct ListedFile {
  std::optional<uint64_t> size;
  std::string git_hash;  // sha1 of the git blob; "" where the Hub did not say
  std::string sha256;    // of large files; "" for others
};

struct Listing {
  std::string commit;
  std::map<std::string, ListedFile> files;  // by path, each a safe one
};

struct RemoteFile {
  std::string path;
  std::string etag;  // sha256 of a large file, git's sha1 of a small one; fit for a file name
  uint64_t size = 0;
};

class HubClient {
 public:
  // `tick`: called while waiting; may throw to stop everything.
  HubClient(const Settings& settings, const RepoName& name, std::function<void(DownloadProgress::Stage)> tick);

  // Patient: several attempts and long waits. Else one, for when the cache could serve. Throws HubError, LoadError.
  Listing list(bool patient);
  RemoteFile describe(const std::string& commit, const std::string& path);
  // Appends to the file `descriptor`, of which `have` bytes are there, until it has remote.size bytes. `on_bytes`
  // learns how many there are. Throws HubError (no connection, refused), LoadError (disk full, a file that is longer
  // than announced). What came stays in the file.
  void fetch(const std::string& commit, const RemoteFile& remote, int descriptor, const std::string& local_name,
             const std::function<void(uint64_t)>& on_bytes);

 private:
  // Sends until an answer comes that is worth an end: 2xx, 3xx, or a refusal that no repetition mends (a HubError).
  HttpResponse ask(const HttpRequest& request, const std::string& what, int attempts);
  void check_certificates() const;
  void pause(int attempt, const std::optional<long>& wanted);
  std::string file_url(const std::string& commit, const std::string& path) const;
  [[noreturn]] void refuse(const HttpResponse& response, const std::string& what) const;
  [[noreturn]] void give_up(const std::string& what, const std::string& reason) const;

  Settings settings_;
  RepoName name_;
  std::function<void(DownloadProgress::Stage)> tick_;
  HttpClient http_;
};

// The sentence for a status that is no success.
std::string explain_refusal(const HttpResponse& response, const RepoName& name, const Settings& settings,
                            const std::string& what);

}  // namespace wde::hub
