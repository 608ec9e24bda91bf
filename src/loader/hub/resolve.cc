// wde/hub.h: from what a user calls a model to a directory with its files.
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>
#include <mutex>
#include <set>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "loader/hub/cache.h"
#include "loader/hub/client.h"
#include "loader/hub/digest.h"
#include "loader/hub/file_lock.h"
#include "loader/hub/select.h"
#include "loader/json_file.h"
#include "wde/hub.h"

namespace wde {
namespace hub {
namespace {

namespace fs = std::filesystem;
using Stage = DownloadProgress::Stage;

constexpr int kMaxRounds = 4;  // modules.json, then indexes of weights, then everything

class Descriptor {
 public:
  explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
  ~Descriptor() { ::close(descriptor_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

class Resolver {
 public:
  Resolver(Settings settings, const RepoName& name, const DownloadCallback& callback)
      : settings_(std::move(settings)),
        name_(name),
        callback_(callback),
        cache_(settings_.cache, name),
        client_(settings_, name, [this](Stage stage) { tell(stage); }) {
    progress_.repo = name.repo;
  }

  ResolvedModel resolve() {
    const bool fixed = is_commit(name_.revision);
    const std::optional<std::string> cached = fixed ? name_.revision : cache_.read_ref(name_.revision);
    CacheState state;
    if (cached) state = cache_.state(*cached);
    // A commit never changes.
    if (state.complete && fixed && state.certain) return found(*cached);
    if (settings_.offline) {
      if (!state.complete) throw LoadError(not_cached(cached, state));
      return found(*cached, state.certain ? "" : uncertain());
    }
    try {
      return found(fetch(!state.complete));
    } catch (const HubError& error) {
      if (!state.complete) throw;
      return found(*cached, fmt::format("{}; the cached commit {} is used", error.what(), cached->substr(0, 12)));
    }
  }

 private:
  void tell(Stage stage) {
    progress_.stage = stage;
    if (callback_) callback_(progress_);
  }

  ResolvedModel found(const std::string& commit, const std::string& warning = "") const {
    ResolvedModel model{cache_.snapshot(commit), name_.repo, name_.revision, commit, {}};
    if (!warning.empty()) model.warnings.push_back(warning);
    return model;
  }

  std::string uncertain() const {
    return fmt::format("{} is used as it lies in the cache; whether the model has more files is not known offline",
                       name_.full());
  }

  std::string not_cached(const std::optional<std::string>& cached, const CacheState& state) const {
    const bool partly = cached && file_exists(cache_.snapshot(*cached));
    return fmt::format(
        "{} is no local directory, and {} in the cache {}{}; HF_HUB_OFFLINE is set, so the Hub is not "
        "asked. Unset it, or download the model where there is a connection (`wde pull {}`) and copy {}",
        name_.full(), partly ? "only in part" : "not", settings_.cache,
        partly ? fmt::format(" (missing: {})", state.missing) : "", name_.full(), name_.folder());
  }

  // Gives the commit. The reference is written when all files are there: an update that breaks off leaves the old one.
  std::string fetch(bool patient) {
    tell(Stage::kAsking);
    const Listing listing = client_.list(patient);
    std::set<std::string> names;
    for (const auto& [path, file] : listing.files) names.insert(path);
    const ReadLocal read_local = [&](const std::string& path) { return cache_.read_json(listing.commit, path); };
    bool downloaded = false;
    for (int round = 0;; ++round) {
      const Selection selection = select_files(names, read_local, name_.full());
      std::vector<std::string> missing;
      for (const std::string& path : selection.files) {
        if (!cache_.has_file(listing.commit, path, listing.files.at(path).size)) missing.push_back(path);
      }
      if (missing.empty() && selection.final) break;
      if (round == kMaxRounds) {
        throw LoadError(fmt::format("{}: what was downloaded does not fit the list of its files: {}", name_.full(),
                                    missing.empty() ? "modules.json" : missing.front()));
      }
      if (!downloaded) cache_.make_folders();
      announce(listing, missing, selection.final);
      for (const std::string& path : missing) download(listing, path);
      downloaded = true;
    }
    cache_.write_listing(listing);
    if (name_.revision != listing.commit) cache_.write_ref(name_.revision, listing.commit);
    if (downloaded) tell(Stage::kDone);
    return listing.commit;
  }

  // Before the last round the total would only be that of some small files.
  void announce(const Listing& listing, const std::vector<std::string>& missing, bool final) {
    progress_.total_bytes = 0;
    if (!final) return;
    uint64_t total = finished_bytes_;
    for (const std::string& path : missing) {
      const auto& size = listing.files.at(path).size;
      if (!size) return;
      total += *size;
    }
    progress_.total_bytes = total;
  }

  void download(const Listing& listing, const std::string& path) {
    progress_.file = path;
    const RemoteFile remote = client_.describe(listing.commit, path);
    const std::string blob = cache_.blob(remote.etag);
    const auto is_there = [&] {
      std::error_code error;
      return fs::is_regular_file(blob, error) && fs::file_size(blob, error) == remote.size && !error;
    };
    if (!is_there()) {
      const FileLock lock(cache_.lock_file(remote.etag), [this] { tell(Stage::kWaiting); });
      if (!is_there()) download_blob(listing.commit, remote, blob);
    }
    cache_.link(listing.commit, path, remote.etag);
    finished_bytes_ += remote.size;
    progress_.bytes = finished_bytes_;
    progress_.file.clear();
  }

  void download_blob(const std::string& commit, const RemoteFile& remote, const std::string& blob) {
    const std::string incomplete = blob + ".incomplete";
    const Descriptor file(::open(incomplete.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0666));
    const auto fail = [&](int error) {
      throw LoadError(fmt::format("{}: cannot be written: {}", incomplete, std::generic_category().message(error)));
    };
    if (file.get() < 0) fail(errno);
    const auto on_bytes = [this](uint64_t bytes) { progress_.bytes = finished_bytes_ + bytes; };
    for (int attempt = 0;; ++attempt) {
      require_space(file.get(), remote, incomplete);
      client_.fetch(commit, remote, file.get(), incomplete, on_bytes);
      if (is_right(remote, incomplete, attempt > 0)) break;
      // Once more from the beginning: what was resumed may have been broken.
      if (::ftruncate(file.get(), 0) != 0) fail(errno);
    }
    if (::fdatasync(file.get()) != 0) fail(errno);
    if (::rename(incomplete.c_str(), blob.c_str()) != 0) fail(errno);
  }

  bool is_right(const RemoteFile& remote, const std::string& incomplete, bool last) {
    const HashKind kind = hash_kind(remote.etag);
    if (kind == HashKind::kNone) return true;
    const std::string found = hash_file(incomplete, kind, [this] { tell(Stage::kChecking); });
    if (found == remote.etag) return true;
    if (!last) return false;
    std::error_code ignored;
    fs::remove(incomplete, ignored);
    throw LoadError(
        fmt::format("{}: {}: expected the {} {}, found {}: the download is damaged (twice) and was thrown "
                    "away; a proxy or a mirror may alter files",
                    name_.full(), remote.path, kind == HashKind::kSha256 ? "sha256" : "git hash", remote.etag, found));
  }

  void require_space(int descriptor, const RemoteFile& remote, const std::string& file) const {
    struct statvfs space {};
    const off_t have = ::lseek(descriptor, 0, SEEK_END);
    if (have < 0 || ::fstatvfs(descriptor, &space) != 0) return;
    const uint64_t there = std::min(static_cast<uint64_t>(have), remote.size);
    const uint64_t free = uint64_t{space.f_bavail} * space.f_frsize;
    if (free >= remote.size - there) return;
    throw LoadError(fmt::format(
        "{}: the disk is too full: {} needs {:.1f} MB more, and {:.1f} MB are free there "
        "(HF_HUB_CACHE or HF_HOME choose another place)",
        file, remote.path, static_cast<double>(remote.size - there) / 1e6, static_cast<double>(free) / 1e6));
  }

  Settings settings_;
  RepoName name_;
  const DownloadCallback& callback_;
  RepoCache cache_;
  HubClient client_;
  DownloadProgress progress_;
  uint64_t finished_bytes_ = 0;
};

}  // namespace
}  // namespace hub

ResolvedModel pull_model(const std::string& model, const DownloadCallback& progress) {
  const std::optional<hub::RepoName> name = hub::parse_name(model);
  if (!name) {
    throw UsageError(fmt::format("expected the name of a model of the Hub, owner/name or owner/name@revision, found {}",
                                 quote(model)));
  }
  return hub::Resolver(hub::Settings::from_environment(), *name, progress).resolve();
}

ResolvedModel resolve_model(const std::string& model, const DownloadCallback& progress) {
  std::error_code error;
  const std::optional<hub::RepoName> name = hub::parse_name(model);
  if (!name || std::filesystem::exists(model, error)) return ResolvedModel{model, "", "", "", {}};

  // A server that loads a model a second time must not get another one than the first time.
  static std::mutex mutex;
  static std::map<std::string, ResolvedModel> known;
  const hub::Settings settings = hub::Settings::from_environment();
  const std::string key = fmt::format("{}\n{}\n{}", settings.cache, settings.endpoint, name->full());
  {
    const std::scoped_lock lock(mutex);
    const auto found = known.find(key);
    if (found != known.end() && std::filesystem::is_directory(found->second.directory, error)) return found->second;
  }
  ResolvedModel resolved = hub::Resolver(settings, *name, progress).resolve();
  const std::scoped_lock lock(mutex);
  known[key] = resolved;
  return resolved;
}

}  // namespace wde
