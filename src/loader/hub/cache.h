// RepoCache: the folder of one model in the Hub's cache:
//   models--owner--name/refs/main                     the commit, as text
//                       snapshots/<commit>/<file>     relative links to ../../blobs/<etag>
//                       blobs/<etag>                  the bytes; <etag>.incomplete while they come
//                       trees/<commit>.json           which files the commit has, as huggingface_hub writes it
//   .locks/models--owner--name/<etag>.lock
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "loader/hub/client.h"
#include "loader/hub/names.h"

namespace wde::hub {

// What the cache has of a commit.
struct CacheState {
  bool complete = false;  // all that is needed is there…
  bool certain = false;   // …and the list of the commit's files says so
  std::string missing;    // if it is not complete: what
};

class RepoCache {
 public:
  RepoCache(std::string cache, const RepoName& name);

  const std::string& folder() const { return folder_; }
  std::string snapshot(const std::string& commit) const;  // its directory
  std::string blob(const std::string& etag) const;
  std::string lock_file(const std::string& etag) const;

  std::optional<std::string> read_ref(const std::string& revision) const;
  void write_ref(const std::string& revision, const std::string& commit) const;  // throws LoadError

  std::optional<Listing> read_listing(const std::string& commit) const;
  void write_listing(const Listing& listing) const;  // quietly nothing where it cannot be

  // Whether the file is in the snapshot, with its size where that is known.
  bool has_file(const std::string& commit, const std::string& path, const std::optional<uint64_t>& size) const;
  std::optional<nlohmann::json> read_json(const std::string& commit, const std::string& path) const;
  std::set<std::string> files(const std::string& commit) const;
  CacheState state(const std::string& commit) const;

  void make_folders() const;  // throws LoadError
  // Puts the blob into the snapshot: a link, or the file itself where there are no links. Throws LoadError.
  void link(const std::string& commit, const std::string& path, const std::string& etag) const;

 private:
  std::string cache_;
  RepoName name_;
  std::string folder_;
};

// Through a temporary file and a rename, so that nobody reads half of it. Throws LoadError.
void write_file_atomically(const std::string& file, const std::string& content);

}  // namespace wde::hub
