// What the cache has, and what to remove for a model to be gone.
#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <system_error>

#include <fmt/format.h>

#include "loader/hub/cache.h"
#include "loader/hub/names.h"
#include "loader/hub/settings.h"
#include "loader/json_file.h"
#include "wde/hub.h"
#include "wde/result.h"

namespace wde {
namespace hub {
namespace {

namespace fs = std::filesystem;

constexpr size_t kShortestPrefix = 6;  // of a commit that stands for it

using FileSizes = std::map<std::string, uint64_t>;  // path -> bytes

struct Snapshot {
  CachedModel model;
  FileSizes blobs;  // that its links lead to
};

uint64_t size_of(const fs::path& file) {
  std::error_code error;
  const uint64_t size = fs::file_size(file, error);
  return error ? 0 : size;
}

std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    found.push_back(at->path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

uint64_t size_below(const fs::path& folder) {
  uint64_t sum = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    if (at->symlink_status(ignored).type() == fs::file_type::regular) sum += size_of(at->path());
  }
  return sum;
}

// All that refs/ says: revision -> commit.
std::map<std::string, std::string> refs_of(const RepoCache& cache) {
  std::map<std::string, std::string> refs;
  const fs::path root = cache.folder() + "/refs";
  std::error_code error;
  for (fs::recursive_directory_iterator at(root, error), end; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    if (!at->is_regular_file(ignored)) continue;
    const std::string name = at->path().lexically_relative(root).string();
    if (const auto commit = cache.read_ref(name)) refs.emplace(name, *commit);
  }
  return refs;
}

Snapshot read_snapshot(const RepoCache& cache, const std::string& repo, const std::string& commit) {
  Snapshot snapshot;
  CachedModel& model = snapshot.model;
  model.repo = repo;
  model.commit = commit;
  model.directory = cache.snapshot(commit);
  model.complete = cache.state(commit).complete;
  for (const auto& [ref, target] : refs_of(cache)) {
    if (target == commit) model.refs.push_back(ref);
  }
  std::error_code error;
  for (fs::recursive_directory_iterator at(model.directory, error), end; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    const fs::file_type type = at->symlink_status(ignored).type();
    if (type == fs::file_type::regular) model.bytes += size_of(at->path());
    if (type != fs::file_type::symlink) continue;
    const std::string blob = cache.blob(fs::read_symlink(at->path(), ignored).filename().string());
    if (file_exists(blob)) snapshot.blobs.emplace(blob, size_of(blob));
  }
  for (const auto& [blob, bytes] : snapshot.blobs) model.bytes += bytes;
  return snapshot;
}

std::vector<Snapshot> read_repo(const RepoCache& cache, const std::string& repo) {
  std::vector<Snapshot> snapshots;
  for (const fs::path& entry : entries_of(cache.folder() + "/snapshots")) {
    const std::string commit = entry.filename().string();
    if (is_commit(commit)) snapshots.push_back(read_snapshot(cache, repo, commit));
  }
  return snapshots;
}

// A branch or tag, a commit, or the beginning of exactly one.
std::optional<std::string> find_commit(const std::vector<Snapshot>& snapshots, const std::string& revision) {
  std::optional<std::string> found;
  for (const Snapshot& snapshot : snapshots) {
    const CachedModel& model = snapshot.model;
    if (std::find(model.refs.begin(), model.refs.end(), revision) != model.refs.end()) return model.commit;
    if (revision.size() < kShortestPrefix || !model.commit.starts_with(revision)) continue;
    if (found) throw UsageError(fmt::format("{} is the beginning of several commits in the cache", quote(revision)));
    found = model.commit;
  }
  return found;
}

void add_path(CacheRemoval& removal, const std::string& path) {
  if (file_exists(path)) removal.paths.push_back(path);
}

void plan_all(const RepoCache& cache, const std::vector<Snapshot>& snapshots, CacheRemoval& removal) {
  for (const Snapshot& snapshot : snapshots) removal.models.push_back(snapshot.model);
  add_path(removal, cache.folder());
  add_path(removal, fs::path(cache.lock_file("x")).parent_path().string());
  removal.bytes = size_below(cache.folder());
}

void plan_one(const RepoCache& cache, const std::vector<Snapshot>& snapshots, const std::string& commit,
              CacheRemoval& removal) {
  FileSizes blobs;
  std::set<std::string> used_elsewhere;
  for (const Snapshot& snapshot : snapshots) {
    if (snapshot.model.commit == commit) {
      removal.models.push_back(snapshot.model);
      blobs = snapshot.blobs;
    } else {
      for (const auto& [blob, bytes] : snapshot.blobs) used_elsewhere.insert(blob);
    }
  }
  // References first: what breaks off in the middle must not leave one that leads nowhere.
  for (const std::string& ref : removal.models.front().refs) add_path(removal, cache.folder() + "/refs/" + ref);
  add_path(removal, cache.snapshot(commit));
  add_path(removal, fmt::format("{}/.no_exist/{}", cache.folder(), commit));
  add_path(removal, fmt::format("{}/trees/{}.json", cache.folder(), commit));
  removal.bytes = size_below(cache.snapshot(commit));
  for (const auto& [blob, bytes] : blobs) {
    if (used_elsewhere.contains(blob)) continue;
    add_path(removal, blob);
    // huggingface_hub may keep it elsewhere, for several models: then this is only a link.
    std::error_code ignored;
    if (!fs::is_symlink(blob, ignored)) removal.bytes += bytes;
  }
}

}  // namespace
}  // namespace hub

std::string hub_cache_directory() { return hub::Settings::from_environment().cache; }

std::vector<CachedModel> cached_models() {
  const std::string directory = hub_cache_directory();
  std::vector<CachedModel> models;
  for (const auto& entry : hub::entries_of(directory)) {
    const std::optional<std::string> repo = hub::repo_of_folder(entry.filename().string());
    if (!repo) continue;
    const hub::RepoName name{*repo, std::string(hub::kDefaultRevision), false};
    for (const hub::Snapshot& snapshot : hub::read_repo(hub::RepoCache(directory, name), *repo)) {
      models.push_back(snapshot.model);
    }
  }
  return models;
}

CacheRemoval plan_removal(const std::string& model) {
  const std::optional<hub::RepoName> name = hub::parse_name(model);
  if (!name) {
    throw UsageError(
        fmt::format("expected the name of a cached model, owner/name or owner/name@revision, found {}", quote(model)));
  }
  const std::string directory = hub_cache_directory();
  const hub::RepoCache cache(directory, *name);
  if (!file_exists(cache.folder())) {
    throw LoadError(fmt::format("{} is not in the cache {}; `wde ls` lists what is", name->repo, directory));
  }
  const std::vector<hub::Snapshot> snapshots = hub::read_repo(cache, name->repo);
  CacheRemoval removal;
  if (!name->revision_given) {
    hub::plan_all(cache, snapshots, removal);
    return removal;
  }
  const std::optional<std::string> commit = hub::find_commit(snapshots, name->revision);
  if (!commit) {
    throw LoadError(fmt::format("{} is in the cache {}, but not its revision {}; `wde ls` lists what is", name->repo,
                                directory, quote(name->revision)));
  }
  if (snapshots.size() == 1) {
    hub::plan_all(cache, snapshots, removal);
  } else {
    hub::plan_one(cache, snapshots, *commit, removal);
  }
  return removal;
}

void remove_from_cache(const CacheRemoval& removal) {
  for (const std::string& path : removal.paths) {
    std::error_code error;
    std::filesystem::remove_all(path, error);  // of a link only the link
    if (error) throw LoadError(fmt::format("{}: cannot be removed: {}", path, error.message()));
  }
}

}  // namespace wde
