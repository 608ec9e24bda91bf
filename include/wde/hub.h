// Models of the Hugging Face Hub, in the cache that the Python tools use too (HF_HOME, HF_HUB_CACHE): the same folders,
// locks and environment variables, so that what one of them downloaded the others find. docs/hub.md is the user's page.
//
// Engine::create does this by itself for a --model like "BAAI/bge-small-en-v1.5@main". Nothing here prints.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace wde {

struct DownloadProgress {
  enum class Stage {
    kAsking,       // which commit a revision is, which files there are
    kWaiting,      // another process downloads the same file
    kDownloading,  // bytes are coming
    kRetrying,     // the connection broke or the Hub asked to wait
    kChecking,     // the sha256 of what came
    kDone,         // last; only if something was downloaded
  };
  Stage stage = Stage::kAsking;
  std::string repo;
  std::string file;          // "" where the stage is about no file
  uint64_t bytes = 0;        // there so far of all files that are downloaded, what was resumed included
  uint64_t total_bytes = 0;  // 0: not known yet
};
// Called some times a second from the thread that resolves. May throw: the download stops (and can be resumed later),
// and the exception comes out of resolve_model.
using DownloadCallback = std::function<void(const DownloadProgress&)>;

struct ResolvedModel {
  std::string directory;  // where config.json is
  // Of the Hub; all "" for a local directory.
  std::string repo;
  std::string revision;               // as asked for; "main" if it was not
  std::string commit;                 // what the revision was
  std::vector<std::string> warnings;  // sentences: the Hub did not answer, and the cache was used
};

// What --model means: a local directory if there is one of this name, else "owner/name", "owner/name@revision" or
// "name" of the Hub, whose files are downloaded if they are not in the cache. A string that cannot be a name comes back
// as a directory, for the loader to complain of. A process that resolves a name again gets the same commit. Throws
// LoadError with a full sentence: not cached and offline, no such model, no access, a broken download, ….
ResolvedModel resolve_model(const std::string& model, const DownloadCallback& progress = {});
// The same for a name of the Hub only, and asks the Hub anew each time. Throws UsageError for what cannot be a name.
ResolvedModel pull_model(const std::string& model, const DownloadCallback& progress = {});

// One revision of one model in the cache.
struct CachedModel {
  std::string repo;
  std::string commit;
  std::vector<std::string> refs;  // branches and tags that mean this commit, as far as the cache knows
  uint64_t bytes = 0;             // of its files; revisions of a model share files that did not change
  bool complete = false;          // everything that an engine needs is there
  std::string directory;
};
std::vector<CachedModel> cached_models();  // by name, then commit
std::string hub_cache_directory();

struct CacheRemoval {
  std::vector<CachedModel> models;  // what will be gone
  std::vector<std::string> paths;   // files and folders to be removed, all of them inside the cache
  uint64_t bytes = 0;               // that this gives back
};
// "owner/name": all that the cache has of it; "owner/name@revision": a branch, a tag, a commit or the beginning of one,
// and of its files those that no other revision uses. Throws UsageError (not a name), LoadError (not in the cache).
CacheRemoval plan_removal(const std::string& model);
// Throws LoadError: something cannot be removed.
void remove_from_cache(const CacheRemoval& removal);

}  // namespace wde
